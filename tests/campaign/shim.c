/* Counts file operations below one folder, and disturbs the N-th of them: a library that is preloaded.
 *
 * What it does is told by a mapped file, shared by all processes of the tree, whose layout is Control of shim.py.
 * Operations on files elsewhere, and on Prefect's own database, are left alone and not counted.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { COUNT, KILL_GROUP, KILL_SELF, FAIL, SHORT, JUMP };
enum { OPEN = 1, WRITE = 2, PWRITE = 4, RENAME = 8, LINK = 16, FSYNC = 32, TRUNCATE = 64, UNLINK = 128, MKDIR = 256,
       READ = 512 };

struct control {
    _Atomic int32_t armed;
    int32_t action, error, lasting;
    uint32_t kinds;
    int32_t group;
    _Atomic int64_t count;
    int64_t target;
    _Atomic int64_t hits;
    int64_t seconds;
    char root[512];
    char hit[512];
};

static struct control *control;

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("CAMPAIGN_CONTROL");
    int descriptor = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (descriptor < 0) return;
    void *mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (mapped != MAP_FAILED) control = mapped;
}

static int is_ours(const char *path) {
    size_t length = strlen(control->root);
    if (strncmp(path, control->root, length) != 0 || (path[length] != '/' && path[length] != 0)) return 0;
    return strstr(path + length, "/.prefect") == NULL;
}

/* Whether this operation is to be disturbed: 0, or the error it ends with; a process that is to be killed is. */
static int disturb(unsigned kind, const char *path, const char *what) {
    if (!control || !control->armed || !path || !(control->kinds & kind)) return 0;
    char whole[1024];
    if (path[0] != '/') {
        if (!getcwd(whole, sizeof whole / 2)) return 0;
        size_t length = strlen(whole);
        snprintf(whole + length, sizeof whole - length, "/%s", path);
        path = whole;
    }
    if (!is_ours(path)) return 0;
    int64_t number = atomic_fetch_add(&control->count, 1);
    if (control->action == COUNT || number < control->target) return 0;
    if (number > control->target && !control->lasting) return 0;
    if (atomic_fetch_add(&control->hits, 1) == 0) snprintf(control->hit, sizeof control->hit, "%s %s", what, path);
    if (control->action == KILL_GROUP) {
        if (control->group > 1) kill(-control->group, SIGKILL);
        raise(SIGKILL);
    }
    if (control->action == KILL_SELF) raise(SIGKILL);
    if (control->action == JUMP) return 0; /* the hit itself is what the clock asks for */
    return control->action == SHORT ? -1 : control->error;
}

static int disturb_fd(unsigned kind, int descriptor, const char *what) {
    if (!control || !control->armed || !(control->kinds & kind)) return 0;
    char link[64], path[1024];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0 || path[0] != '/') return 0;
    path[length] = 0;
    return disturb(kind, path, what);
}

#define REAL(name) ({ static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name); real; })
#define FAILS(expression) do { int number_ = (expression); if (number_ > 0) { errno = number_; return -1; } } while (0)

#define OPENS(name)                                                                                                 \
    int name(const char *path, int flags, ...) {                                                                   \
        mode_t mode = 0;                                                                                           \
        if (flags & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); } \
        FAILS(disturb(OPEN, path, "open"));                                                                        \
        return REAL(name)(path, flags, mode);                                                                      \
    }
OPENS(open)
OPENS(open64)

#define OPENS_AT(name)                                                                                              \
    int name(int folder, const char *path, int flags, ...) {                                                       \
        mode_t mode = 0;                                                                                           \
        if (flags & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); } \
        if (folder == AT_FDCWD || path[0] == '/') FAILS(disturb(OPEN, path, "open"));                              \
        return REAL(name)(folder, path, flags, mode);                                                              \
    }
OPENS_AT(openat)
OPENS_AT(openat64)

static size_t part(int found, size_t size) { return found == -1 && size > 1 ? size / 2 : size; }

ssize_t write(int descriptor, const void *data, size_t size) {
    int found = disturb_fd(WRITE, descriptor, "write");
    FAILS(found);
    return REAL(write)(descriptor, data, part(found, size));
}

ssize_t writev(int descriptor, const struct iovec *pieces, int number) {
    int found = disturb_fd(WRITE, descriptor, "writev");
    FAILS(found);
    return REAL(writev)(descriptor, pieces, found == -1 && number > 1 ? number / 2 : number);
}

#define READS(name, ...)                                                                                           \
    ssize_t name(int descriptor, __VA_ARGS__) {                                                                    \
        FAILS(disturb_fd(READ, descriptor, "read"));

READS(read, void *data, size_t size) return REAL(read)(descriptor, data, size); }
READS(readv, const struct iovec *pieces, int number) return REAL(readv)(descriptor, pieces, number); }
READS(pread, void *data, size_t size, off_t offset) return REAL(pread)(descriptor, data, size, offset); }
READS(pread64, void *data, size_t size, off64_t offset) return REAL(pread64)(descriptor, data, size, offset); }

#define PWRITES(name, kind)                                                                                        \
    ssize_t name(int descriptor, const void *data, size_t size, kind offset) {                                     \
        int found = disturb_fd(PWRITE, descriptor, "pwrite");                                                      \
        FAILS(found);                                                                                              \
        return REAL(name)(descriptor, data, part(found, size), offset);                                            \
    }
PWRITES(pwrite, off_t)
PWRITES(pwrite64, off64_t)

#define SENDS(name, kind)                                                                                          \
    ssize_t name(int out, int in, kind *offset, size_t size) {                                                     \
        int found = disturb_fd(WRITE, out, "sendfile");                                                            \
        FAILS(found);                                                                                              \
        return REAL(name)(out, in, offset, part(found, size));                                                     \
    }
SENDS(sendfile, off_t)
SENDS(sendfile64, off64_t)

int rename(const char *from, const char *to) {
    FAILS(disturb(RENAME, to, "rename"));
    return REAL(rename)(from, to);
}

int renameat(int old_folder, const char *from, int new_folder, const char *to) {
    FAILS(disturb(RENAME, to, "rename"));
    return REAL(renameat)(old_folder, from, new_folder, to);
}

int link(const char *from, const char *to) {
    FAILS(disturb(LINK, to, "link"));
    return REAL(link)(from, to);
}

int linkat(int old_folder, const char *from, int new_folder, const char *to, int flags) {
    FAILS(disturb(LINK, to, "link"));
    return REAL(linkat)(old_folder, from, new_folder, to, flags);
}

int fsync(int descriptor) {
    FAILS(disturb_fd(FSYNC, descriptor, "fsync"));
    return REAL(fsync)(descriptor);
}

int fdatasync(int descriptor) {
    FAILS(disturb_fd(FSYNC, descriptor, "fsync"));
    return REAL(fdatasync)(descriptor);
}

#define TRUNCATES_FD(name, kind)                                                                                   \
    int name(int descriptor, kind length) {                                                                        \
        FAILS(disturb_fd(TRUNCATE, descriptor, "truncate"));                                                       \
        return REAL(name)(descriptor, length);                                                                     \
    }
TRUNCATES_FD(ftruncate, off_t)
TRUNCATES_FD(ftruncate64, off64_t)

#define TRUNCATES(name, kind)                                                                                      \
    int name(const char *path, kind length) {                                                                      \
        FAILS(disturb(TRUNCATE, path, "truncate"));                                                                \
        return REAL(name)(path, length);                                                                           \
    }
TRUNCATES(truncate, off_t)
TRUNCATES(truncate64, off64_t)

int unlink(const char *path) {
    FAILS(disturb(UNLINK, path, "unlink"));
    return REAL(unlink)(path);
}

int mkdir(const char *path, mode_t mode) {
    FAILS(disturb(MKDIR, path, "mkdir"));
    return REAL(mkdir)(path, mode);
}

/* How far the wall clock has jumped, in seconds. */
static int64_t jumped(void) {
    return control && control->armed && control->action == JUMP && control->hits ? control->seconds : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int code = REAL(clock_gettime)(clock, now);
    if (code == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += jumped();
    return code;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int code = REAL(gettimeofday)(now, zone);
    if (code == 0 && now) now->tv_sec += jumped();
    return code;
}

time_t time(time_t *now) {
    time_t found = REAL(time)(NULL) + jumped();
    if (now) *now = found;
    return found;
}
