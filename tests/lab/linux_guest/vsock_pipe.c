// Of the Linux guest: one connection of an AF_VSOCK socket and the standard streams.
//   vsock_pipe cid              prints the guest's CID
//   vsock_pipe listen PORT      accepts one connection, and copies it to the standard output to its end
//   vsock_pipe connect PORT     connects to the host, and copies the standard input to it; waits for its end
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

int main(int count, char **words) {
  if (count == 2 && strcmp(words[1], "cid") == 0) {
    unsigned cid = 0;
    if (ioctl(open("/dev/vsock", O_RDONLY), IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) != 0) return failed("cid");
    printf("%u\n", cid);
    return 0;
  }
  if (count != 3) return 2;
  const int listens = strcmp(words[1], "listen") == 0;
  struct sockaddr_vm address = {.svm_family = AF_VSOCK,
                                .svm_port = (unsigned)strtoul(words[2], NULL, 10),
                                .svm_cid = listens ? VMADDR_CID_ANY : VMADDR_CID_HOST};
  const int end = socket(AF_VSOCK, SOCK_STREAM, 0);
  if (end < 0) return failed("socket");
  if (!listens) {
    if (connect(end, (struct sockaddr *)&address, sizeof(address)) != 0) return failed("connect");
    if (copy(0, end) != 0) return 1;
    shutdown(end, SHUT_WR);
    return copy(end, 1);
  }
  if (bind(end, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(end, 8) != 0) return failed("listen");
  const int connection = accept(end, NULL, NULL);
  return connection < 0 ? failed("accept") : copy(connection, 1);
}
