// The usual CPU models: the signature and the features a CPU of that name has.
#include "driver/config/cpu_features.h"

namespace warren::driver::config {

namespace {

constexpr CpuModel kModels[] = {
    {"486", "", 0x0, "fpu pse vme"},
    {"Broadwell", "Intel", 0x306d0,
     "3dnowprefetch adx aes apic avx avx2 bmi1 bmi2 clflush cmov cx16 cx8 de erms fma fpu fsgsbase "
     "fxsr hle invpcid lahf_lm lm mca mce mmx movbe msr mtrr nx pae pat pcid pclmuldq pge pni popcnt "
     "pse pse36 rdseed rdtscp rtm sep smap smep sse sse2 sse4.1 sse4.2 ssse3 syscall tsc tsc-deadline "
     "x2apic xsave"},
    {"Broadwell-IBRS", "Intel", 0x306d0,
     "3dnowprefetch adx aes apic avx avx2 bmi1 bmi2 clflush cmov cx16 cx8 de erms fma fpu fsgsbase "
     "fxsr hle invpcid lahf_lm lm mca mce mmx movbe msr mtrr nx pae pat pcid pclmuldq pge pni popcnt "
     "pse pse36 rdseed rdtscp rtm sep smap smep spec-ctrl sse sse2 sse4.1 sse4.2 ssse3 syscall tsc "
     "tsc-deadline x2apic xsave"},
    {"Broadwell-noTSX", "Intel", 0x306d0,
     "3dnowprefetch adx aes apic avx avx2 bmi1 bmi2 clflush cmov cx16 cx8 de erms fma fpu fsgsbase "
     "fxsr invpcid lahf_lm lm mca mce mmx movbe msr mtrr nx pae pat pcid pclmuldq pge pni popcnt pse "
     "pse36 rdseed rdtscp sep smap smep sse sse2 sse4.1 sse4.2 ssse3 syscall tsc tsc-deadline x2apic "
     "xsave"},
    {"Broadwell-noTSX-IBRS", "Intel", 0x306d0,
     "3dnowprefetch adx aes apic avx avx2 bmi1 bmi2 clflush cmov cx16 cx8 de erms fma fpu fsgsbase "
     "fxsr invpcid lahf_lm lm mca mce mmx movbe msr mtrr nx pae pat pcid pclmuldq pge pni popcnt pse "
     "pse36 rdseed rdtscp sep smap smep spec-ctrl sse sse2 sse4.1 sse4.2 ssse3 syscall tsc "
     "tsc-deadline x2apic xsave"},
    {"Cascadelake-Server", "Intel", 0x50655,
     "3dnowprefetch abm adx aes apic arat avx avx2 avx512bw avx512cd avx512dq avx512f avx512vl "
     "avx512vnni bmi1 bmi2 clflush clflushopt clwb cmov cx16 cx8 de erms f16c fma fpu fsgsbase fxsr "
     "hle invpcid lahf_lm lm mca mce mmx movbe mpx msr mtrr nx pae pat pcid pclmuldq pdpe1gb pge pni "
     "popcnt pse pse36 rdrand rdseed rdtscp rtm sep smap smep spec-ctrl ssbd sse sse2 sse4.1 sse4.2 "
     "ssse3 syscall tsc tsc-deadline vme x2apic xgetbv1 xsave xsavec xsaveopt"},
    {"Cascadelake-Server-noTSX", "Intel", 0x50655,
     "3dnowprefetch abm adx aes apic arat avx avx2 avx512bw avx512cd avx512dq avx512f avx512vl "
     "avx512vnni bmi1 bmi2 clflush clflushopt clwb cmov cx16 cx8 de erms f16c fma fpu fsgsbase fxsr "
     "invpcid lahf_lm lm mca mce mmx movbe mpx msr mtrr nx pae pat pcid pclmuldq pdpe1gb pge pni "
     "popcnt pse pse36 rdrand rdseed rdtscp sep smap smep spec-ctrl ssbd sse sse2 sse4.1 sse4.2 ssse3 "
     "syscall tsc tsc-deadline vme x2apic xgetbv1 xsave xsavec xsaveopt"},
    {"Conroe", "Intel", 0x6f0,
     "apic clflush cmov cx8 de fpu fxsr lahf_lm lm mca mce mmx msr mtrr nx pae pat pge pni pse pse36 "
     "sep sse sse2 ssse3 syscall tsc"},
    {"Cooperlake", "Intel", 0x5065a,
     "3dnowprefetch abm adx aes apic arat arch-capabilities avx avx2 avx512-bf16 avx512bw avx512cd "
     "avx512dq avx512f avx512vl avx512vnni bmi1 bmi2 clflush clflushopt clwb cmov cx16 cx8 de erms "
     "f16c fma fpu fsgsbase fxsr hle invpcid lahf_lm lm mca mce mmx movbe msr mtrr nx pae pat pcid "
     "pclmuldq pdpe1gb pge pku pni popcnt pse pse36 rdrand rdseed rdtscp rtm sep smap smep spec-ctrl "
     "ssbd sse sse2 sse4.1 sse4.2 ssse3 stibp syscall tsc tsc-deadline vme x2apic xgetbv1 xsave xsavec "
     "xsaveopt"},
    {"Dhyana", "Hygon", 0x900f00,
     "3dnowprefetch abm adx apic arat avx avx2 bmi1 bmi2 clflush clflushopt cmov cr8legacy cx16 cx8 de "
     "f16c fma fpu fsgsbase fxsr fxsr_opt ibpb lahf_lm lm mca mce misalignsse mmx mmxext movbe msr "
     "mtrr nx osvw pae pat pdpe1gb pge pni popcnt pse pse36 rdrand rdseed rdtscp sep smap smep sse "
     "sse2 sse4.1 sse4.2 sse4a ssse3 svm syscall tsc vme xgetbv1 xsave xsavec xsaveopt"},
    {"EPYC", "AMD", 0x800f10,
     "3dnowprefetch abm adx aes apic arat avx avx2 bmi1 bmi2 clflush clflushopt cmov cr8legacy cx16 "
     "cx8 de f16c fma fpu fsgsbase fxsr fxsr_opt lahf_lm lm mca mce misalignsse mmx mmxext movbe msr "
     "mtrr nx osvw pae pat pclmuldq pdpe1gb pge pni popcnt pse pse36 rdrand rdseed rdtscp sep sha-ni "
     "smap smep sse sse2 sse4.1 sse4.2 sse4a ssse3 svm syscall tsc vme xgetbv1 xsave xsavec xsaveopt"},
    {"EPYC-IBPB", "AMD", 0x800f10,
     "3dnowprefetch abm adx aes apic arat avx avx2 bmi1 bmi2 clflush clflushopt cmov cr8legacy cx16 "
     "cx8 de f16c fma fpu fsgsbase fxsr fxsr_opt ibpb lahf_lm lm mca mce misalignsse mmx mmxext movbe "
     "msr mtrr nx osvw pae pat pclmuldq pdpe1gb pge pni popcnt pse pse36 rdrand rdseed rdtscp sep "
     "sha-ni smap smep sse sse2 sse4.1 sse4.2 sse4a ssse3 svm syscall tsc vme xgetbv1 xsave xsavec "
     "xsaveopt"},
    {"EPYC-Milan", "AMD", 0xa00f10,
     "3dnowprefetch abm adx aes amd-ssbd amd-stibp apic arat avx avx2 bmi1 bmi2 clflush clflushopt "
     "clwb clzero cmov cr8legacy cx16 cx8 de erms f16c fma fpu fsgsbase fsrm fxsr fxsr_opt ibpb ibrs "
     "invpcid lahf_lm lm mca mce misalignsse mmx mmxext movbe msr mtrr npt nrip-save nx osvw pae pat "
     "pcid pclmuldq pdpe1gb perfctr_core pge pku pni popcnt pse pse36 rdpid rdrand rdseed rdtscp sep "
     "sha-ni smap smep sse sse2 sse4.1 sse4.2 sse4a ssse3 svm svme-addr-chk syscall tsc umip vme "
     "wbnoinvd xgetbv1 xsave xsavec xsaveerptr xsaveopt xsaves"},
    {"EPYC-Rome", "AMD", 0x830f10,
     "3dnowprefetch abm adx aes amd-stibp apic arat avx avx2 bmi1 bmi2 clflush clflushopt clwb clzero "
     "cmov cr8legacy cx16 cx8 de f16c fma fpu fsgsbase fxsr fxsr_opt ibpb lahf_lm lm mca mce "
     "misalignsse mmx mmxext movbe msr mtrr npt nrip-save nx osvw pae pat pclmuldq pdpe1gb "
     "perfctr_core pge pni popcnt pse pse36 rdpid rdrand rdseed rdtscp sep sha-ni smap smep sse sse2 "
     "sse4.1 sse4.2 sse4a ssse3 svm syscall tsc umip vme wbnoinvd xgetbv1 xsave xsavec xsaveerptr "
     "xsaveopt"},
    {"Haswell", "Intel", 0x306c0,
     "aes apic avx avx2 bmi1 bmi2 clflush cmov cx16 cx8 de erms fma fpu fsgsbase fxsr hle invpcid "
     "lahf_lm lm mca mce mmx movbe msr mtrr nx pae pat pcid pclmuldq pge pni popcnt pse pse36 rdtscp "
     "rtm sep smep sse sse2 sse4.1 sse4.2 ssse3 syscall tsc tsc-deadline x2apic xsave"},
    {"Haswell-IBRS", "Intel", 0x306c0,
     "aes apic avx avx2 bmi1 bmi2 clflush cmov cx16 cx8 de erms fma fpu fsgsbase fxsr hle invpcid "
     "lahf_lm lm mca mce mmx movbe msr mtrr nx pae pat pcid pclmuldq pge pni popcnt pse pse36 rdtscp "
     "rtm sep smep spec-ctrl sse sse2 sse4.1 sse4.2 ssse3 syscall tsc tsc-deadline x2apic xsave"},
    {"Haswell-noTSX", "Intel", 0x306c0,
     "aes apic avx avx2 bmi1 bmi2 clflush cmov cx16 cx8 de erms fma fpu fsgsbase fxsr invpcid lahf_lm "
     "lm mca mce mmx movbe msr mtrr nx pae pat pcid pclmuldq pge pni popcnt pse pse36 rdtscp sep smep "
     "sse sse2 sse4.1 sse4.2 ssse3 syscall tsc tsc-deadline x2apic xsave"},
    {"Haswell-noTSX-IBRS", "Intel", 0x306c0,
     "aes apic avx avx2 bmi1 bmi2 clflush cmov cx16 cx8 de erms fma fpu fsgsbase fxsr invpcid lahf_lm "
     "lm mca mce mmx movbe msr mtrr nx pae pat pcid pclmuldq pge pni popcnt pse pse36 rdtscp sep smep "
     "spec-ctrl sse sse2 sse4.1 sse4.2 ssse3 syscall tsc tsc-deadline x2apic xsave"},
    {"Icelake-Client", "Intel", 0x706e0,
     "3dnowprefetch abm adx aes apic arat avx avx2 avx512-vpopcntdq avx512bitalg avx512vbmi "
     "avx512vbmi2 avx512vnni bmi1 bmi2 clflush cmov cx16 cx8 de erms f16c fma fpu fsgsbase fxsr gfni "
     "hle invpcid lahf_lm lm mca mce mmx movbe mpx msr mtrr nx pae pat pcid pclmuldq pge pku pni "
     "popcnt pse pse36 rdrand rdseed rdtscp rtm sep smap smep spec-ctrl ssbd sse sse2 sse4.1 sse4.2 "
     "ssse3 syscall tsc tsc-deadline umip vaes vme vpclmulqdq wbnoinvd x2apic xgetbv1 xsave xsavec "
     "xsaveopt"},
    {"Icelake-Client-noTSX", "Intel", 0x706e0,
     "3dnowprefetch abm adx aes apic arat avx avx2 avx512-vpopcntdq avx512bitalg avx512vbmi "
     "avx512vbmi2 avx512vnni bmi1 bmi2 clflush cmov cx16 cx8 de erms f16c fma fpu fsgsbase fxsr gfni "
     "invpcid lahf_lm lm mca mce mmx movbe mpx msr mtrr nx pae pat pcid pclmuldq pge pku pni popcnt "
     "pse pse36 rdrand rdseed rdtscp sep smap smep spec-ctrl ssbd sse sse2 sse4.1 sse4.2 ssse3 syscall "
     "tsc tsc-deadline umip vaes vme vpclmulqdq wbnoinvd x2apic xgetbv1 xsave xsavec xsaveopt"},
    {"Icelake-Server", "Intel", 0x606a0,
     "3dnowprefetch abm adx aes apic arat avx avx2 avx512-vpopcntdq avx512bitalg avx512bw avx512cd "
     "avx512dq avx512f avx512vbmi avx512vbmi2 avx512vl avx512vnni bmi1 bmi2 clflush clflushopt clwb "
     "cmov cx16 cx8 de erms f16c fma fpu fsgsbase fxsr gfni hle invpcid la57 lahf_lm lm mca mce mmx "
     "movbe mpx msr mtrr nx pae pat pcid pclmuldq pdpe1gb pge pku pni popcnt pse pse36 rdrand rdseed "
     "rdtscp rtm sep smap smep spec-ctrl ssbd sse sse2 sse4.1 sse4.2 ssse3 syscall tsc tsc-deadline "
     "umip vaes vme vpclmulqdq wbnoinvd x2apic xgetbv1 xsave xsavec xsaveopt"},
    {"Icelake-Server-noTSX", "Intel", 0x606a0,
     "3dnowprefetch abm adx aes apic arat avx avx2 avx512-vpopcntdq avx512bitalg avx512bw avx512cd "
     "avx512dq avx512f avx512vbmi avx512vbmi2 avx512vl avx512vnni bmi1 bmi2 clflush clflushopt clwb "
     "cmov cx16 cx8 de erms f16c fma fpu fsgsbase fxsr gfni invpcid la57 lahf_lm lm mca mce mmx movbe "
     "mpx msr mtrr nx pae pat pcid pclmuldq pdpe1gb pge pku pni popcnt pse pse36 rdrand rdseed rdtscp "
     "sep smap smep spec-ctrl ssbd sse sse2 sse4.1 sse4.2 ssse3 syscall tsc tsc-deadline umip vaes vme "
     "vpclmulqdq wbnoinvd x2apic xgetbv1 xsave xsavec xsaveopt"},
    {"IvyBridge", "Intel", 0x306a0,
     "aes apic avx clflush cmov cx16 cx8 de erms f16c fpu fsgsbase fxsr lahf_lm lm mca mce mmx msr "
     "mtrr nx pae pat pclmuldq pge pni popcnt pse pse36 rdrand rdtscp sep smep sse sse2 sse4.1 sse4.2 "
     "ssse3 syscall tsc tsc-deadline vme x2apic xsave"},
    {"IvyBridge-IBRS", "Intel", 0x306a0,
     "aes apic avx clflush cmov cx16 cx8 de erms f16c fpu fsgsbase fxsr lahf_lm lm mca mce mmx msr "
     "mtrr nx pae pat pclmuldq pge pni popcnt pse pse36 rdrand rdtscp sep smep spec-ctrl sse sse2 "
     "sse4.1 sse4.2 ssse3 syscall tsc tsc-deadline vme x2apic xsave"},
    {"Nehalem", "Intel", 0x106a0,
     "apic clflush cmov cx16 cx8 de fpu fxsr lahf_lm lm mca mce mmx msr mtrr nx pae pat pge pni popcnt "
     "pse pse36 sep sse sse2 sse4.1 sse4.2 ssse3 syscall tsc"},
    {"Nehalem-IBRS", "Intel", 0x106a0,
     "apic clflush cmov cx16 cx8 de fpu fxsr lahf_lm lm mca mce mmx msr mtrr nx pae pat pge pni popcnt "
     "pse pse36 sep spec-ctrl sse sse2 sse4.1 sse4.2 ssse3 syscall tsc"},
    {"Opteron_G1", "AMD", 0xf60,
     "apic clflush cmov cx8 de fpu fxsr lm mca mce mmx msr mtrr nx pae pat pge pni pse pse36 sep sse "
     "sse2 syscall tsc"},
    {"Opteron_G2", "AMD", 0xf60,
     "apic clflush cmov cx16 cx8 de fpu fxsr lahf_lm lm mca mce mmx msr mtrr nx pae pat pge pni pse "
     "pse36 rdtscp sep sse sse2 svm syscall tsc"},
    {"Opteron_G3", "AMD", 0xf60,
     "abm apic clflush cmov cx16 cx8 de fpu fxsr lahf_lm lm mca mce misalignsse mmx msr mtrr nx pae "
     "pat pge pni popcnt pse pse36 rdtscp sep sse sse2 sse4a svm syscall tsc"},
    {"Opteron_G4", "AMD", 0x600f10,
     "3dnowprefetch abm aes apic avx clflush cmov cx16 cx8 de fma4 fpu fxsr lahf_lm lm mca mce "
     "misalignsse mmx msr mtrr nx pae pat pclmuldq pdpe1gb pge pni popcnt pse pse36 rdtscp sep sse "
     "sse2 sse4.1 sse4.2 sse4a ssse3 svm syscall tsc xop xsave"},
    {"Opteron_G5", "AMD", 0x600f20,
     "3dnowprefetch abm aes apic avx clflush cmov cx16 cx8 de f16c fma fma4 fpu fxsr lahf_lm lm mca "
     "mce misalignsse mmx msr mtrr nx pae pat pclmuldq pdpe1gb pge pni popcnt pse pse36 rdtscp sep sse "
     "sse2 sse4.1 sse4.2 sse4a ssse3 svm syscall tbm tsc xop xsave"},
    {"Penryn", "Intel", 0x10670,
     "apic clflush cmov cx16 cx8 de fpu fxsr lahf_lm lm mca mce mmx msr mtrr nx pae pat pge pni pse "
     "pse36 sep sse sse2 sse4.1 ssse3 syscall tsc"},
    {"SandyBridge", "Intel", 0x206a0,
     "aes apic avx clflush cmov cx16 cx8 de fpu fxsr lahf_lm lm mca mce mmx msr mtrr nx pae pat "
     "pclmuldq pge pni popcnt pse pse36 rdtscp sep sse sse2 sse4.1 sse4.2 ssse3 syscall tsc "
     "tsc-deadline x2apic xsave"},
    {"SandyBridge-IBRS", "Intel", 0x206a0,
     "aes apic avx clflush cmov cx16 cx8 de fpu fxsr lahf_lm lm mca mce mmx msr mtrr nx pae pat "
     "pclmuldq pge pni popcnt pse pse36 rdtscp sep spec-ctrl sse sse2 sse4.1 sse4.2 ssse3 syscall tsc "
     "tsc-deadline x2apic xsave"},
    {"Skylake-Client", "Intel", 0x506e0,
     "3dnowprefetch abm adx aes apic arat avx avx2 bmi1 bmi2 clflush cmov cx16 cx8 de erms f16c fma "
     "fpu fsgsbase fxsr hle invpcid lahf_lm lm mca mce mmx movbe mpx msr mtrr nx pae pat pcid pclmuldq "
     "pge pni popcnt pse pse36 rdrand rdseed rdtscp rtm sep smap smep sse sse2 sse4.1 sse4.2 ssse3 "
     "syscall tsc tsc-deadline vme x2apic xgetbv1 xsave xsavec xsaveopt"},
    {"Skylake-Client-IBRS", "Intel", 0x506e0,
     "3dnowprefetch abm adx aes apic arat avx avx2 bmi1 bmi2 clflush cmov cx16 cx8 de erms f16c fma "
     "fpu fsgsbase fxsr hle invpcid lahf_lm lm mca mce mmx movbe mpx msr mtrr nx pae pat pcid pclmuldq "
     "pge pni popcnt pse pse36 rdrand rdseed rdtscp rtm sep smap smep spec-ctrl sse sse2 sse4.1 sse4.2 "
     "ssse3 syscall tsc tsc-deadline vme x2apic xgetbv1 xsave xsavec xsaveopt"},
    {"Skylake-Client-noTSX-IBRS", "Intel", 0x506e0,
     "3dnowprefetch abm adx aes apic arat avx avx2 bmi1 bmi2 clflush cmov cx16 cx8 de erms f16c fma "
     "fpu fsgsbase fxsr invpcid lahf_lm lm mca mce mmx movbe mpx msr mtrr nx pae pat pcid pclmuldq pge "
     "pni popcnt pse pse36 rdrand rdseed rdtscp sep smap smep spec-ctrl sse sse2 sse4.1 sse4.2 ssse3 "
     "syscall tsc tsc-deadline vme x2apic xgetbv1 xsave xsavec xsaveopt"},
    {"Skylake-Server", "Intel", 0x50650,
     "3dnowprefetch abm adx aes apic arat avx avx2 avx512bw avx512cd avx512dq avx512f avx512vl bmi1 "
     "bmi2 clflush clwb cmov cx16 cx8 de erms f16c fma fpu fsgsbase fxsr hle invpcid lahf_lm lm mca "
     "mce mmx movbe mpx msr mtrr nx pae pat pcid pclmuldq pdpe1gb pge pni popcnt pse pse36 rdrand "
     "rdseed rdtscp rtm sep smap smep sse sse2 sse4.1 sse4.2 ssse3 syscall tsc tsc-deadline vme x2apic "
     "xgetbv1 xsave xsavec xsaveopt"},
    {"Skylake-Server-IBRS", "Intel", 0x50650,
     "3dnowprefetch abm adx aes apic arat avx avx2 avx512bw avx512cd avx512dq avx512f avx512vl bmi1 "
     "bmi2 clflush clwb cmov cx16 cx8 de erms f16c fma fpu fsgsbase fxsr hle invpcid lahf_lm lm mca "
     "mce mmx movbe mpx msr mtrr nx pae pat pcid pclmuldq pdpe1gb pge pni popcnt pse pse36 rdrand "
     "rdseed rdtscp rtm sep smap smep spec-ctrl sse sse2 sse4.1 sse4.2 ssse3 syscall tsc tsc-deadline "
     "vme x2apic xgetbv1 xsave xsavec xsaveopt"},
    {"Skylake-Server-noTSX-IBRS", "Intel", 0x50650,
     "3dnowprefetch abm adx aes apic arat avx avx2 avx512bw avx512cd avx512dq avx512f avx512vl bmi1 "
     "bmi2 clflush clwb cmov cx16 cx8 de erms f16c fma fpu fsgsbase fxsr invpcid lahf_lm lm mca mce "
     "mmx movbe mpx msr mtrr nx pae pat pcid pclmuldq pdpe1gb pge pni popcnt pse pse36 rdrand rdseed "
     "rdtscp sep smap smep spec-ctrl sse sse2 sse4.1 sse4.2 ssse3 syscall tsc tsc-deadline vme x2apic "
     "xgetbv1 xsave xsavec xsaveopt"},
    {"Snowridge", "Intel", 0x80660,
     "3dnowprefetch aes apic arat arch-capabilities cldemote clflush clflushopt clwb cmov "
     "core-capability cx16 cx8 de erms fpu fsgsbase fxsr gfni lahf_lm lm mca mce mmx movbe movdir64b "
     "movdiri msr mtrr nx pae pat pclmuldq pdpe1gb pge pni popcnt pse pse36 rdrand rdseed rdtscp sep "
     "sha-ni smap smep spec-ctrl ssbd sse sse2 sse4.1 sse4.2 ssse3 syscall tsc tsc-deadline umip vme "
     "x2apic xgetbv1 xsave xsavec xsaveopt"},
    {"Westmere", "Intel", 0x206c0,
     "aes apic clflush cmov cx16 cx8 de fpu fxsr lahf_lm lm mca mce mmx msr mtrr nx pae pat pge pni "
     "popcnt pse pse36 sep sse sse2 sse4.1 sse4.2 ssse3 syscall tsc"},
    {"Westmere-IBRS", "Intel", 0x206c0,
     "aes apic clflush cmov cx16 cx8 de fpu fxsr lahf_lm lm mca mce mmx msr mtrr nx pae pat pge pni "
     "popcnt pse pse36 sep spec-ctrl sse sse2 sse4.1 sse4.2 ssse3 syscall tsc"},
    {"athlon", "AMD", 0x0,
     "3dnow 3dnowext apic cmov cx8 de fpu fxsr mce mmx mmxext msr mtrr pae pat pge pse pse36 sep sse "
     "sse2 tsc vme"},
    {"core2duo", "Intel", 0x0,
     "apic clflush cmov cx8 de fpu fxsr lm mca mce mmx monitor msr mtrr nx pae pat pge pni pse pse36 "
     "sep sse sse2 ssse3 syscall tsc vme"},
    {"coreduo", "Intel", 0x0,
     "apic clflush cmov cx8 de fpu fxsr mca mce mmx monitor msr mtrr nx pae pat pge pni pse sep sse "
     "sse2 tsc vme"},
    {"cpu64-rhel5", "", 0x0,
     "apic clflush cmov cx8 de fpu fxsr lm mca mce mmx msr mtrr nx pae pat pge pni pse pse36 sep sse "
     "sse2 syscall tsc"},
    {"cpu64-rhel6", "", 0x0,
     "apic clflush cmov cx16 cx8 de fpu fxsr lahf_lm lm mca mce mmx msr mtrr nx pae pat pge pni pse "
     "pse36 sep sse sse2 syscall tsc"},
    {"kvm32", "", 0x0,
     "apic clflush cmov cx8 de fpu fxsr mca mce mmx msr mtrr pae pat pge pni pse pse36 sep sse sse2 "
     "tsc"},
    {"kvm64", "", 0x0,
     "apic clflush cmov cx16 cx8 de fpu fxsr lm mca mce mmx msr mtrr nx pae pat pge pni pse pse36 sep "
     "sse sse2 syscall tsc"},
    {"n270", "Intel", 0x0,
     "apic clflush cmov cx8 de fpu fxsr mca mce mmx monitor msr mtrr nx pae pat pge pni pse sep sse "
     "sse2 ssse3 tsc vme"},
    {"pentium", "", 0x0, "cx8 de fpu mce mmx msr pse tsc vme"},
    {"pentium2", "", 0x0, "cmov cx8 de fpu fxsr mca mce mmx msr mtrr pae pat pge pse pse36 sep tsc vme"},
    {"pentium3", "", 0x0, "cmov cx8 de fpu fxsr mca mce mmx msr mtrr pae pat pge pse pse36 sep sse tsc vme"},
    {"pentiumpro", "", 0x0, "apic cmov cx8 de fpu fxsr mce mmx msr pae pat pge pse sep sse sse2 tsc"},
    {"phenom", "AMD", 0x0,
     "3dnow 3dnowext apic clflush cmov cx8 de fpu fxsr fxsr_opt lm mca mce mmx mmxext monitor msr mtrr "
     "nx pae pat pge pni pse pse36 sep sse sse2 svm syscall tsc"},
    {"qemu32", "", 0x0, "apic cmov cx8 de fpu fxsr mce mmx msr pae pat pge pni pse sep sse sse2 tsc"},
    {"qemu64", "", 0x0,
     "apic clflush cmov cx16 cx8 de fpu fxsr lm mca mce mmx msr mtrr nx pae pat pge pni pse pse36 sep "
     "sse sse2 svm syscall tsc"},
};

}  // namespace

std::span<const CpuModel> cpu_models() {
  return kModels;
}

}  // namespace warren::driver::config
