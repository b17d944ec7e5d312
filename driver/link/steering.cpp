#include "driver/link/steering.h"

#include <array>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "driver/contract/error.h"
#include "vmm-core/state/steering_table.h"

namespace warren::driver::link {
namespace {

using vmm::FileDescriptor;
using vmm::SteeringTable;

// Instructions (Linux Documentation/bpf/instruction-set.rst) with jumps to labels.
class Assembler {
 public:
  using Label = const char*;

  void emit(int code, int destination = 0, int source = 0, int offset = 0, std::int32_t immediate = 0) {
    bpf_insn instruction{};
    instruction.code = static_cast<std::uint8_t>(code);
    instruction.dst_reg = static_cast<std::uint8_t>(destination & 15);
    instruction.src_reg = static_cast<std::uint8_t>(source & 15);
    instruction.off = static_cast<std::int16_t>(offset);
    instruction.imm = immediate;
    instructions_.push_back(instruction);
  }
  void load(int size, int destination, int source, std::size_t offset) {
    emit(BPF_LDX | BPF_MEM | size, destination, source, static_cast<int>(offset));
  }
  // On the stack, below its top.
  void load_stack(int size, int destination, int below) {
    emit(BPF_LDX | BPF_MEM | size, destination, BPF_REG_10, -below);
  }
  void set(int destination, std::int32_t value) {
    emit(BPF_ALU64 | BPF_MOV | BPF_K, destination, 0, 0, value);
  }
  void copy(int destination, int source) { emit(BPF_ALU64 | BPF_MOV | BPF_X, destination, source); }
  void alu(int operation, int destination, std::int32_t value) {
    emit(BPF_ALU64 | operation | BPF_K, destination, 0, 0, value);
  }
  void alu_by(int operation, int destination, int source) {
    emit(BPF_ALU64 | operation | BPF_X, destination, source);
  }
  void jump(Label to) { jump_if(BPF_JA, 0, 0, to); }
  void jump_if(int condition, int left, std::int32_t right, Label to) {
    jumps_.emplace_back(instructions_.size(), to);
    emit(BPF_JMP | condition | BPF_K, left, 0, 0, right);
  }
  void place(Label label) { places_[label] = instructions_.size(); }
  void address_of(int destination, const FileDescriptor& map) {
    emit(BPF_LD | BPF_DW | BPF_IMM, destination, BPF_PSEUDO_MAP_VALUE, 0, map.get());
    emit(0);
  }

  std::vector<bpf_insn> finish() {
    for (const auto& [from, to] : jumps_)
      instructions_[from].off = static_cast<std::int16_t>(places_.at(to) - from - 1);
    return std::move(instructions_);
  }

 private:
  std::vector<bpf_insn> instructions_;
  std::vector<std::pair<std::size_t, std::string>> jumps_;
  std::map<std::string, std::size_t> places_;
};

// What registers hold over calls, which lose 0 to 5.
constexpr int kPacket = BPF_REG_6, kTable = BPF_REG_7, kHash = BPF_REG_8, kOffset = BPF_REG_9;
constexpr int kProtocol = kHash;  // until there is a hash
// On the stack, in bytes below its top: what is hashed, and a header that is looked at.
constexpr int kHashed = 40, kHeader = 72;

constexpr std::int32_t network(std::uint16_t value) {
  return std::endian::native == std::endian::little ? std::int32_t{std::byteswap(value)}
                                                    : std::int32_t{value};
}

class Program {
 public:
  explicit Program(const FileDescriptor& table) {
    code_.copy(kPacket, BPF_REG_1);
    code_.address_of(kTable, table);
    find_network_header();
    read_ipv4();
    read_ipv6();
    choose_by_hash();
    code_.place("unclassified");
    code_.load(BPF_H, BPF_REG_0, kTable, offsetof(SteeringTable, unclassified));
    code_.emit(BPF_JMP | BPF_EXIT);
  }
  std::vector<bpf_insn> instructions() { return code_.finish(); }

 private:
  // `bytes` of the packet, `more` behind kOffset, on the stack.
  void read(int more, int below, int bytes, Assembler::Label if_missing) {
    code_.copy(BPF_REG_1, kPacket);
    code_.copy(BPF_REG_2, kOffset);
    code_.alu(BPF_ADD, BPF_REG_2, more);
    code_.copy(BPF_REG_3, BPF_REG_10);
    code_.alu(BPF_ADD, BPF_REG_3, -below);
    code_.set(BPF_REG_4, bytes);
    code_.emit(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_skb_load_bytes);
    code_.jump_if(BPF_JNE, BPF_REG_0, 0, if_missing);
  }

  void find_network_header() {
    code_.set(kOffset, 14);
    read(-2, kHeader, 2, "unclassified");
    code_.load_stack(BPF_H, BPF_REG_1, kHeader);
    code_.jump_if(BPF_JEQ, BPF_REG_1, network(0x8100), "tagged");
    code_.jump_if(BPF_JNE, BPF_REG_1, network(0x88a8), "network");
    code_.place("tagged");
    code_.set(kOffset, 18);
    read(-2, kHeader, 2, "unclassified");
    code_.load_stack(BPF_H, BPF_REG_1, kHeader);
    code_.place("network");
    code_.jump_if(BPF_JEQ, BPF_REG_1, network(0x0800), "ipv4");
    code_.jump_if(BPF_JEQ, BPF_REG_1, network(0x86dd), "ipv6");
    code_.jump("unclassified");
  }

  // Of a fragment the ports are not known (RFC 791 §3.1, RFC 8200 §4.5): its addresses count alone.
  void read_ipv4() {
    code_.place("ipv4");
    read(0, kHeader, 20, "unclassified");
    read(12, kHashed, 8, "unclassified");
    code_.load_stack(BPF_B, kProtocol, kHeader - 9);
    code_.load_stack(BPF_H, BPF_REG_1, kHeader - 6);
    code_.load_stack(BPF_B, BPF_REG_2, kHeader);
    code_.alu(BPF_AND, BPF_REG_1, network(0x3fff));
    code_.jump_if(BPF_JNE, BPF_REG_1, 0, "ipv4 addresses");
    code_.alu(BPF_AND, BPF_REG_2, 15);
    code_.alu(BPF_LSH, BPF_REG_2, 2);
    code_.jump_if(BPF_JLT, BPF_REG_2, 20, "unclassified");
    code_.alu_by(BPF_ADD, kOffset, BPF_REG_2);
    read_ports("ipv4 addresses", SteeringTable::kTcp4, SteeringTable::kUdp4, 8, "hash 12");
    code_.place("ipv4 addresses");
    only_if(SteeringTable::kIpv4, "hash 8");
  }

  void read_ipv6() {
    code_.place("ipv6");
    read(0, kHeader, 8, "unclassified");
    read(8, kHashed, 32, "unclassified");
    code_.load_stack(BPF_B, kProtocol, kHeader - 6);
    code_.alu(BPF_ADD, kOffset, 40);
    static constexpr std::array kLabels = {"header 0", "header 1", "header 2", "header 3", "header 4"};
    // Hop-by-hop, routing and destination options, each with its length in 8 bytes (RFC 8200 §4).
    for (std::size_t i = 0; i + 1 < kLabels.size(); ++i) {
      code_.place(kLabels[i]);
      const Assembler::Label here = kSkips[i];
      code_.jump_if(BPF_JEQ, kProtocol, 0, here);
      code_.jump_if(BPF_JEQ, kProtocol, 43, here);
      code_.jump_if(BPF_JNE, kProtocol, 60, "transport 6");
      code_.place(here);
      read(0, kHeader, 2, "ipv6 addresses");
      code_.load_stack(BPF_B, kProtocol, kHeader);
      code_.load_stack(BPF_B, BPF_REG_1, kHeader - 1);
      code_.alu(BPF_ADD, BPF_REG_1, 1);
      code_.alu(BPF_LSH, BPF_REG_1, 3);
      code_.alu_by(BPF_ADD, kOffset, BPF_REG_1);
    }
    code_.place("transport 6");
    read_ports("ipv6 addresses", SteeringTable::kTcp6, SteeringTable::kUdp6, 32, "hash 36");
    code_.place("ipv6 addresses");
    only_if(SteeringTable::kIpv6, "hash 32");
  }

  // Behind the `addresses` bytes of addresses, where the guest wants them hashed.
  void read_ports(Assembler::Label otherwise, std::uint32_t tcp, std::uint32_t udp, int addresses,
                  Assembler::Label hash) {
    code_.load(BPF_W, BPF_REG_1, kTable, offsetof(SteeringTable, hash_types));
    code_.set(BPF_REG_2, static_cast<std::int32_t>(tcp));
    const Assembler::Label ports = addresses == 8 ? "ports 4" : "ports 6";
    code_.jump_if(BPF_JEQ, kProtocol, 6, ports);
    code_.set(BPF_REG_2, static_cast<std::int32_t>(udp));
    code_.jump_if(BPF_JNE, kProtocol, 17, otherwise);
    code_.place(ports);
    code_.alu_by(BPF_AND, BPF_REG_1, BPF_REG_2);
    code_.jump_if(BPF_JEQ, BPF_REG_1, 0, otherwise);
    read(0, kHashed - addresses, 4, otherwise);
    code_.set(kHash, 0);
    code_.jump(hash);
  }

  void only_if(std::uint32_t type, Assembler::Label hash) {
    code_.load(BPF_W, BPF_REG_1, kTable, offsetof(SteeringTable, hash_types));
    code_.alu(BPF_AND, BPF_REG_1, static_cast<std::int32_t>(type));
    code_.jump_if(BPF_JEQ, BPF_REG_1, 0, "unclassified");
    code_.set(kHash, 0);
    code_.jump(hash);
  }

  // Adds what bytes [from, to) add, each by one look at the table.
  void add_shares(int from, int to) {
    for (int i = from; i < to; ++i) {
      code_.load_stack(BPF_B, BPF_REG_1, kHashed - i);
      code_.alu(BPF_LSH, BPF_REG_1, 2);
      code_.alu(BPF_ADD, BPF_REG_1, static_cast<std::int32_t>(offsetof(SteeringTable, shares)) + i * 1024);
      code_.copy(BPF_REG_2, kTable);
      code_.alu_by(BPF_ADD, BPF_REG_2, BPF_REG_1);
      code_.load(BPF_W, BPF_REG_3, BPF_REG_2, 0);
      code_.alu_by(BPF_XOR, kHash, BPF_REG_3);
    }
  }

  void choose_by_hash() {
    code_.place("hash 36");
    add_shares(32, 36);
    code_.place("hash 32");
    add_shares(12, 32);
    code_.place("hash 12");
    add_shares(8, 12);
    code_.place("hash 8");
    add_shares(0, 8);
    code_.load(BPF_H, BPF_REG_1, kTable, offsetof(SteeringTable, mask));
    code_.alu_by(BPF_AND, kHash, BPF_REG_1);
    code_.alu(BPF_AND, kHash, SteeringTable::kMostEntries - 1);
    code_.alu(BPF_LSH, kHash, 1);
    code_.alu_by(BPF_ADD, kTable, kHash);
    code_.load(BPF_H, BPF_REG_0, kTable, offsetof(SteeringTable, entries));
    code_.emit(BPF_JMP | BPF_EXIT);
  }

  static constexpr std::array kSkips = {"skip 0", "skip 1", "skip 2", "skip 3"};
  Assembler code_;
};

FileDescriptor bpf(bpf_cmd command, bpf_attr& attributes, const char* doing) {
  const long result = ::syscall(SYS_bpf, command, &attributes, sizeof(attributes));
  if (result < 0) throw system_error(errno, std::string("receive-side scaling: cannot ") + doing);
  return FileDescriptor(static_cast<int>(result));
}

FileDescriptor make_table() {
  bpf_attr attributes{};
  attributes.map_type = BPF_MAP_TYPE_ARRAY;
  attributes.key_size = sizeof(std::uint32_t);
  attributes.value_size = sizeof(SteeringTable);
  attributes.max_entries = 1;
  attributes.map_flags = BPF_F_MMAPABLE;
  return bpf(BPF_MAP_CREATE, attributes, "make its table (eBPF)");
}

FileDescriptor load_program(const FileDescriptor& table) {
  const std::vector<bpf_insn> instructions = Program(table).instructions();
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attributes.insns = reinterpret_cast<std::uintptr_t>(instructions.data());
  attributes.insn_cnt = static_cast<std::uint32_t>(instructions.size());
  attributes.license = reinterpret_cast<std::uintptr_t>("GPL");
  return bpf(BPF_PROG_LOAD, attributes, "load its program (eBPF)");
}

}  // namespace

Steering make_steering() {
  Steering steering;
  steering.table = make_table();
  steering.program = load_program(steering.table);
  return steering;
}

}  // namespace warren::driver::link
