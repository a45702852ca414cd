/* SPDX-License-Identifier: Apache-2.0 */
/* The C library's functions: allocations, files, threads. */
#include "faults/faults.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static enum faults_reads reads;
static int reads_left;

/* WRAP(type, name, (parameters), (arguments), result and errno of the failure) */
#define WRAP(type, name, parameters, arguments, result, reason)                                                      \
    type __real_##name parameters;                                                                                   \
    type __wrap_##name parameters;                                                                                   \
    type __wrap_##name parameters                                                                                    \
    {                                                                                                                \
        if (!faults_hit(#name)) return __real_##name arguments;                                                      \
        errno = reason;                                                                                              \
        return result;                                                                                               \
    }

WRAP(void *, malloc, (size_t bytes), (bytes), NULL, ENOMEM)
WRAP(void *, calloc, (size_t count, size_t size), (count, size), NULL, ENOMEM)
WRAP(void *, realloc, (void *memory, size_t bytes), (memory, bytes), NULL, ENOMEM)
WRAP(void *, aligned_alloc, (size_t alignment, size_t bytes), (alignment, bytes), NULL, ENOMEM)
WRAP(char *, strdup, (const char *text), (text), NULL, ENOMEM)
WRAP(char *, strndup, (const char *text, size_t length), (text, length), NULL, ENOMEM)
WRAP(char *, realpath, (const char *path, char *out), (path, out), NULL, ENOMEM)
WRAP(FILE *, fopen, (const char *path, const char *mode), (path, mode), NULL, EMFILE)
WRAP(FILE *, fdopen, (int descriptor, const char *mode), (descriptor, mode), NULL, EMFILE)
WRAP(int, mkstemp, (char *path), (path), -1, EMFILE)
WRAP(int, fchmod, (int descriptor, mode_t mode), (descriptor, mode), -1, EIO)
WRAP(int, rename, (const char *from, const char *to), (from, to), -1, EIO)
WRAP(int, fstat, (int descriptor, struct stat *about), (descriptor, about), -1, EIO)
WRAP(int, inflateInit2_, (z_stream * z, int bits, const char *version, int size), (z, bits, version, size),
     Z_MEM_ERROR, ENOMEM)
WRAP(int, inflate, (z_stream * z, int flush), (z, flush), Z_MEM_ERROR, ENOMEM)
WRAP(int, pthread_create, (pthread_t * out, const pthread_attr_t *how, void *(*run)(void *), void *context),
     (out, how, run, context), EAGAIN, EAGAIN)

void faults_set_reads(enum faults_reads how, int whole)
{
    reads = how;
    reads_left = whole;
}

ssize_t __real_pread(int descriptor, void *out, size_t bytes, off_t at);
ssize_t __wrap_pread(int descriptor, void *out, size_t bytes, off_t at);
ssize_t __wrap_pread(int descriptor, void *out, size_t bytes, off_t at)
{
    static bool interrupt;
    interrupt = !interrupt;
    if (reads == READS_NOTHING && reads_left-- <= 0) return 0;
    if (reads == READS_PIECES && !interrupt) return __real_pread(descriptor, out, (bytes + 1) / 2, at);
    if (reads != READS_PIECES && !faults_hit("pread")) return __real_pread(descriptor, out, bytes, at);
    errno = reads == READS_PIECES ? EINTR : EIO;
    return -1;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    if (!faults_hit("open")) return __real_open(path, flags, mode);
    errno = EMFILE;
    return -1;
}

/* A stream whose writes fail, or whose reads do: what stands behind its descriptor is exchanged, so that the C
 * library finds the failure itself and marks the stream, as it would at a full disk. */
static void break_stream(FILE *stream, bool writing)
{
    int broken = __real_open(writing ? "/dev/full" : "/", writing ? O_WRONLY : O_RDONLY);
    if (broken < 0 || dup2(broken, fileno(stream)) < 0) abort();
    close(broken);
}

static bool ours(FILE *stream)
{
    return stream != stdout && stream != stderr;
}

size_t __real_fread(void *out, size_t size, size_t count, FILE *stream);
size_t __wrap_fread(void *out, size_t size, size_t count, FILE *stream);
size_t __wrap_fread(void *out, size_t size, size_t count, FILE *stream)
{
    if (faults_hit("fread")) break_stream(stream, false);
    return __real_fread(out, size, count, stream);
}

size_t __real_fwrite(const void *bytes, size_t size, size_t count, FILE *stream);
size_t __wrap_fwrite(const void *bytes, size_t size, size_t count, FILE *stream);
size_t __wrap_fwrite(const void *bytes, size_t size, size_t count, FILE *stream)
{
    if (ours(stream) && faults_hit("fwrite")) break_stream(stream, true);
    return __real_fwrite(bytes, size, count, stream);
}

int __wrap_fprintf(FILE *stream, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_fprintf(FILE *stream, const char *format, ...)
{
    va_list values;
    int written;
    if (ours(stream) && faults_hit("fprintf")) break_stream(stream, true);
    va_start(values, format);
    written = vfprintf(stream, format, values);
    va_end(values);
    return written;
}

int __real_fflush(FILE *stream);
int __wrap_fflush(FILE *stream);
int __wrap_fflush(FILE *stream)
{
    if (ours(stream) && faults_hit("fflush")) break_stream(stream, true);
    return __real_fflush(stream);
}

/* The last words of a network file system. */
int __real_fclose(FILE *stream);
int __wrap_fclose(FILE *stream);
int __wrap_fclose(FILE *stream)
{
    bool fail = faults_hit("fclose");
    int result = __real_fclose(stream);
    if (!fail) return result;
    errno = EIO;
    return EOF;
}
