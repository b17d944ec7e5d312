// Of the Linux guest: a page of memory that fails under a program's hands.
//   memory_touch MARK FILE      fills a page with MARK, waits until FILE is there, and reads the page again. Says what
//                               came of it: "read", or "SIGBUS CODE at the page" with the signal's si_code.
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { kPage = 4096 };
static volatile unsigned char *page;

static void told(int signal, siginfo_t *information, void *context) {
  (void)signal;
  (void)context;
  const unsigned char *address = information->si_addr;
  const int is_it = address >= page && address < page + kPage;
  printf("SIGBUS %d %s\n", information->si_code, is_it ? "at the page" : "elsewhere");
  fflush(stdout);
  _exit(0);
}

int main(int count, char **words) {
  if (count != 3) return 2;
  page = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return 1;
  const size_t length = strlen(words[1]);
  for (size_t i = 0; i < kPage; ++i) page[i] = (unsigned char)words[1][i % length];
  struct sigaction action = {.sa_sigaction = told, .sa_flags = SA_SIGINFO};
  sigaction(SIGBUS, &action, NULL);
  while (access(words[2], F_OK) != 0) usleep(100000);
  unsigned sum = 0;
  for (size_t i = 0; i < kPage; ++i) sum += page[i];
  printf("read %u\n", sum);
  return 0;
}
