// Of the Linux guest, and of the lab's hosts: who answers, and frames as nobody should send them.
//   network_probe reach MILLISECONDS    reads lines "NAME HOW FROM TO", asks all of them at once, and
//                                       says the names of those that answer. HOW: echo (ICMP), dns.
//   network_probe send INTERFACE TIMES  reads frames, each a line of hexadecimal digits, and sends them.
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { kMost = 256, kAgain = 700 /* milliseconds until what is not answered is sent again */ };

struct probe {
  char name[64];
  int ipv6, dns, answered;
  unsigned char question[64];
  size_t length;
};
static struct probe probes[kMost];
static struct pollfd sockets[kMost];

static long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static struct sockaddr_storage address_of(const char* text, unsigned short port, socklen_t* length) {
  struct sockaddr_storage address;
  memset(&address, 0, sizeof(address));
  struct sockaddr_in* four = (struct sockaddr_in*)&address;
  struct sockaddr_in6* six = (struct sockaddr_in6*)&address;
  if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    *length = sizeof(*four);
  } else if (inet_pton(AF_INET6, text, &six->sin6_addr) == 1) {
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(port);
    *length = sizeof(*six);
  } else {
    fprintf(stderr, "%s is no address\n", text);
    exit(2);
  }
  return address;
}

// RFC 1071; of what has an even length.
static unsigned short checksum(const unsigned char* bytes, size_t length) {
  unsigned sum = 0;
  for (size_t i = 0; i < length; i += 2) sum += (unsigned)bytes[i] << 8 | bytes[i + 1];
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (unsigned short)~sum;
}

static void ask_echo(struct probe* probe, unsigned id) {
  unsigned char* bytes = probe->question;
  bytes[0] = probe->ipv6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO;
  bytes[4] = (unsigned char)(getpid() ^ id >> 8);
  bytes[5] = (unsigned char)id;
  probe->length = 16;
  if (probe->ipv6) return;  // the kernel adds the checksum: RFC 3542 §3.1
  const unsigned short sum = checksum(bytes, probe->length);
  bytes[2] = (unsigned char)(sum >> 8);
  bytes[3] = (unsigned char)sum;
}

// RFC 1035 §4.1: an address of "gateway".
static void ask_dns(struct probe* probe) {
  static const unsigned char question[] = {0x77, 0x61, 1,   0,   0,   1,   0,   0, 0, 0, 0, 0, 7,
                                           'g',  'a',  't', 'e', 'w', 'a', 'y', 0, 0, 1, 0, 1};
  memcpy(probe->question, question, sizeof(question));
  probe->length = sizeof(question);
}

static int open_socket(const struct probe* probe, const char* from, const char* to) {
  socklen_t length;
  const int family = probe->ipv6 ? AF_INET6 : AF_INET;
  const int made = probe->dns ? socket(family, SOCK_DGRAM, 0)
                              : socket(family, SOCK_RAW, probe->ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
  struct sockaddr_storage here = address_of(from, 0, &length);
  struct sockaddr_storage there = address_of(to, probe->dns ? 53 : 0, &length);
  if (made < 0 || bind(made, (struct sockaddr*)&here, length) != 0) {
    fprintf(stderr, "%s from %s: %m\n", probe->name, from);
    exit(1);
  }
  // Where there is no way there, nothing answers.
  if (connect(made, (struct sockaddr*)&there, length) == 0) return made;
  close(made);
  return -1;
}

static int is_answer(const struct probe* probe, const unsigned char* bytes, ssize_t length) {
  if (probe->dns) return length > 12 && memcmp(bytes, probe->question, 2) == 0;
  if (!probe->ipv6) {
    const ssize_t header = length > 0 ? (bytes[0] & 15) * 4 : 0;  // raw sockets of IPv4 see it
    bytes += header;
    length -= header;
  }
  return length >= 8 && bytes[0] == (probe->ipv6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY) &&
         memcmp(bytes + 4, probe->question + 4, 2) == 0;
}

static void take_answers(unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    unsigned char bytes[2048];
    if (!(sockets[i].revents & (POLLIN | POLLERR))) continue;
    const ssize_t length = recv(sockets[i].fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (length < 0 || probes[i].answered || !is_answer(&probes[i], bytes, length)) continue;
    probes[i].answered = 1;
    puts(probes[i].name);
  }
}

static int reach(long milliseconds) {
  char line[256], how[8], from[64], to[64];
  unsigned count = 0;
  while (fgets(line, sizeof(line), stdin)) {
    if (count == kMost) return 2;
    struct probe* probe = &probes[count];
    if (sscanf(line, "%63s %7s %63s %63s", probe->name, how, from, to) != 4) return 2;
    probe->ipv6 = strchr(to, ':') != NULL;
    probe->dns = strcmp(how, "dns") == 0;
    if (probe->dns) {
      ask_dns(probe);
    } else {
      ask_echo(probe, count);
    }
    sockets[count].fd = open_socket(probe, from, to);
    sockets[count++].events = POLLIN;
  }
  const long end = now() + milliseconds;
  long again = now();
  for (long time = again; time < end; time = now()) {
    if (time >= again) {
      for (unsigned i = 0; i < count; ++i)
        if (!probes[i].answered && sockets[i].fd >= 0)
          send(sockets[i].fd, probes[i].question, probes[i].length, MSG_DONTWAIT);
      again = now() + kAgain;
    }
    if (poll(sockets, count, 50) > 0) take_answers(count);
  }
  return 0;
}

static int send_frames(const char* interface, int times) {
  struct sockaddr_ll place = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(interface)};
  const int made = socket(AF_PACKET, SOCK_RAW, 0);
  if (made < 0 || place.sll_ifindex == 0) {
    perror(interface);
    return 1;
  }
  static char line[4096];
  while (fgets(line, sizeof(line), stdin)) {
    unsigned char frame[2048];
    size_t length = 0;
    for (const char* digits = line;
         sscanf(digits, "%2hhx", &frame[length]) == 1 && length + 1 < sizeof(frame); digits += 2)
      ++length;
    for (int i = 0; i < times; ++i)
      if (sendto(made, frame, length, 0, (struct sockaddr*)&place, sizeof(place)) != (ssize_t)length) {
        perror("send");
        return 1;
      }
  }
  return 0;
}

int main(int count, char** words) {
  if (count == 3 && strcmp(words[1], "reach") == 0) return reach(atol(words[2]));
  if (count == 4 && strcmp(words[1], "send") == 0) return send_frames(words[2], atoi(words[3]));
  return 2;
}
