/* Counts calls that make writes durable, into the file that FORGE_BENCH_SYNCS names: 8 bytes, shared
 * with whoever reads it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Atomic uint64_t *count;

__attribute__((constructor)) static void open_count(void) {
    const char *path = getenv("FORGE_BENCH_SYNCS");
    int file = path ? open(path, O_RDWR) : -1;
    if (file < 0)
        return;
    void *shared = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (shared != MAP_FAILED)
        count = shared;
}

static void counted(void) {
    if (count)
        atomic_fetch_add(count, 1);
}

int fsync(int file) {
    counted();
    return (int)syscall(SYS_fsync, file);
}

int fdatasync(int file) {
    counted();
    return (int)syscall(SYS_fdatasync, file);
}

int sync_file_range(int file, off64_t offset, off64_t length, unsigned int flags) {
    counted();
    return (int)syscall(SYS_sync_file_range, file, offset, length, flags);
}
