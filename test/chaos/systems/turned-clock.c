/*
 * Preloaded into a server: its wall clock is wrong by so many seconds as the file TURNED_CLOCK_FILE says. The clock that
 * only measures time stays right, as it does when somebody turns a machine's clock.
 *
 * libfaketime would do the same, but its start and that of jemalloc, which Redis is built with, wait for each other.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile long long *offset_seconds;

__attribute__((constructor)) static void open_file(void) {
  const char *name = getenv("TURNED_CLOCK_FILE");
  if (name == NULL) return;
  int file = open(name, O_RDONLY);
  if (file < 0) return;
  void *mapped = mmap(NULL, sizeof(long long), PROT_READ, MAP_SHARED, file, 0);
  if (mapped != MAP_FAILED) offset_seconds = mapped;
  close(file);
}

static long long offset(void) { return offset_seconds == NULL ? 0 : *offset_seconds; }

int clock_gettime(clockid_t clock, struct timespec *now) {
  /* The system call itself, because looking the function up would allocate memory. */
  int status = (int)syscall(SYS_clock_gettime, clock, now);
  if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += offset();
  return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  int status = (int)syscall(SYS_gettimeofday, now, zone);
  if (status == 0) now->tv_sec += offset();
  return status;
}

time_t time(time_t *result) {
  struct timeval now;
  gettimeofday(&now, NULL);
  if (result != NULL) *result = now.tv_sec;
  return now.tv_sec;
}
