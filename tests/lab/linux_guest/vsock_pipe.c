// Of the Linux guest: one connection of an AF_VSOCK socket and the standard streams.
//   vsock_pipe cid              prints the guest's CID
//   vsock_pipe listen PORT      accepts one connection, and copies it to the standard output to its end
//   vsock_pipe connect PORT     connects to the host, and copies the standard input to it; waits for its end
// With a word behind the port the socket is of SOCK_SEQPACKET, and each line there is a message.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/vm_sockets.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int failed(const char *what) {
  perror(what);
  return 1;
}

static int copy(int from, int to) {
  static char bytes[65536];
  ssize_t got;
  while ((got = read(from, bytes, sizeof(bytes))) > 0) {
    for (ssize_t done = 0; done < got;) {
      const ssize_t written = write(to, bytes + done, (size_t)(got - done));
      if (written <= 0) return failed("write");
      done += written;
    }
  }
  return got == 0 ? 0 : failed("read");
}

static int copy_messages(int from, int to) {
  static char bytes[256 * 1024];
  ssize_t got;
  while ((got = recv(from, bytes, sizeof(bytes) - 1, 0)) > 0) {
    bytes[got] = '\n';
    if (write(to, bytes, (size_t)got + 1) != got + 1) return failed("write");
  }
  return got == 0 ? 0 : failed("recv");
}

static int send_lines(FILE *from, int to) {
  static char line[256 * 1024];
  while (fgets(line, sizeof(line), from)) {
    const size_t length = strcspn(line, "\n");
    if (send(to, line, length, 0) != (ssize_t)length) return failed("send");
  }
  return 0;
}

int main(int count, char **words) {
  if (count == 2 && strcmp(words[1], "cid") == 0) {
    unsigned cid = 0;
    if (ioctl(open("/dev/vsock", O_RDONLY), IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) != 0) return failed("cid");
    printf("%u\n", cid);
    return 0;
  }
  if (count != 3 && count != 4) return 2;
  const int messages = count == 4;
  const int listens = strcmp(words[1], "listen") == 0;
  struct sockaddr_vm address = {.svm_family = AF_VSOCK,
                                .svm_port = (unsigned)strtoul(words[2], NULL, 10),
                                .svm_cid = listens ? VMADDR_CID_ANY : VMADDR_CID_HOST};
  const int end = socket(AF_VSOCK, messages ? SOCK_SEQPACKET : SOCK_STREAM, 0);
  if (end < 0) return failed("socket");
  if (!listens) {
    if (connect(end, (struct sockaddr *)&address, sizeof(address)) != 0) return failed("connect");
    if ((messages ? send_lines(stdin, end) : copy(0, end)) != 0) return 1;
    shutdown(end, SHUT_WR);
    return messages ? copy_messages(end, 1) : copy(end, 1);
  }
  if (bind(end, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(end, 8) != 0) return failed("listen");
  const int connection = accept(end, NULL, NULL);
  if (connection < 0) return failed("accept");
  return messages ? copy_messages(connection, 1) : copy(connection, 1);
}
