#!/usr/bin/perl
# A Sys::Virt client: arguments URI, socket, domain file. Prints TAP.
use strict;
use warnings;
use Sys::Virt;
use Sys::Virt::Event;
use Time::HiRes qw(time);

my ($uri, undef, $file) = @ARGV;
$| = 1;
my %seen;

sub check {
    my ($name, $holds) = @_;
    print(($holds ? "ok" : "not ok"), " - $name\n");
    exit 1 unless $holds;
}

# Runs the event loop until the lifecycle event came, at most 20 seconds.
sub came {
    my ($event) = @_;
    my $timer = Sys::Virt::Event::add_timeout(50, sub { });
    my $deadline = time() + 20;
    Sys::Virt::Event::run_default() while !$seen{$event} && time() < $deadline;
    Sys::Virt::Event::remove_timeout($timer);
    return $seen{$event};
}

sub code_of {
    my ($call) = @_;
    eval { $call->(); 1 } and return 0;
    return ref $@ ? $@->code : -1;
}

Sys::Virt::Event::register_default();
my $connection = Sys::Virt->new(uri => $uri);
check("versions", $connection->get_library_version > 0 && $connection->get_version > 0);
check("host name and capabilities", $connection->get_hostname ne "" && $connection->get_capabilities =~ /<host>/);
$connection->domain_event_register_any(undef, Sys::Virt::Domain::EVENT_ID_LIFECYCLE, sub { $seen{$_[2]} = 1 });

open(my $in, "<", $file) or die "$file: $!";
my $xml = do { local $/; <$in> };
my $domain = $connection->define_domain($xml);
my $name = $domain->get_name;
check("defined event", came(Sys::Virt::Domain::EVENT_DEFINED));
check("lookup by name and UUID",
    $connection->get_domain_by_name($name)->get_uuid_string eq $domain->get_uuid_string
        && $connection->get_domain_by_uuid($domain->get_uuid)->get_name eq $name);
# The calls of before libvirt 0.9.13, which this library still offers.
check("old list calls know it", (grep { $_ eq $name } $connection->list_defined_domain_names(100))
        && $connection->num_of_defined_domains > 0);
check("its XML names it", $domain->get_xml_description =~ m{<name>\Q$name\E</name>});
$domain->create;
check("started event", came(Sys::Virt::Domain::EVENT_STARTED));
check("is running with an id",
    $domain->is_active && $domain->get_id > 0 && ($domain->get_state)[0] == Sys::Virt::Domain::STATE_RUNNING);
check("old list of ids knows it", grep { $_ == $domain->get_id } $connection->list_domain_ids(100));
check("info agrees with the definition",
    $domain->get_info->{maxMem} == 64 * 1024 && $domain->get_info->{nrVirtCpu} == 1);
$domain->suspend;
check("suspends", came(Sys::Virt::Domain::EVENT_SUSPENDED) && $domain->get_info->{state} == Sys::Virt::Domain::STATE_PAUSED);
$domain->resume;
check("resumes", came(Sys::Virt::Domain::EVENT_RESUMED));
check("starting it twice is refused", code_of(sub { $domain->create }) == Sys::Virt::Error::ERR_OPERATION_INVALID);
$domain->destroy;
check("stopped event", came(Sys::Virt::Domain::EVENT_STOPPED));
$domain->undefine;
check("undefined event", came(Sys::Virt::Domain::EVENT_UNDEFINED));
check("it is gone", code_of(sub { $connection->get_domain_by_name($name) }) == Sys::Virt::Error::ERR_NO_DOMAIN);
