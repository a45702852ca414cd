/* SPDX-License-Identifier: Apache-2.0 */
#define _XOPEN_SOURCE 700
#include "infile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static vic_status not_a_file(const char *path, vic_error *err)
{
    return fail(err, VIC_CANNOT_READ, "cannot read %s: expected a file, got a folder, pipe or device", path);
}

vic_status infile_open(struct infile *in, const char *path, vic_error *err)
{
    struct stat about;
    in->path = path;
    in->descriptor = -1;
    /* Not even opened: that a pipe had a reader for a moment would let its writer go, and what it wrote be lost. */
    if (stat(path, &about) == 0 && !S_ISREG(about.st_mode)) return not_a_file(path, err);
    in->descriptor = open(path, O_RDONLY | O_NONBLOCK); /* nor does one wait that came in between */
    if (in->descriptor < 0 && strcmp(path, "-") == 0)
        return fail(err, VIC_CANNOT_READ,
                    "cannot read -: expected a file here; standard input can only stand for the structure");
    if (in->descriptor < 0) return fail(err, VIC_CANNOT_READ, "cannot read %s: %s", path, strerror(errno));
    if (fstat(in->descriptor, &about) != 0 || !S_ISREG(about.st_mode)) {
        infile_close(in);
        return not_a_file(path, err);
    }
    in->size = (uint64_t)about.st_size;
    return VIC_OK;
}

vic_status infile_read(struct infile *in, uint64_t at, void *out, size_t count, vic_error *err)
{
    char *to = out;
    while (count > 0) {
        size_t part = count < (size_t)1 << 30 ? count : (size_t)1 << 30;
        ssize_t got = pread(in->descriptor, to, part, (off_t)at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(err, VIC_CANNOT_READ, "cannot read %s: %s", in->path, strerror(errno));
        if (got == 0)
            return fail(err, VIC_CANNOT_READ, "cannot read %s: it became shorter while being read", in->path);
        to += got;
        at += (uint64_t)got;
        count -= (size_t)got;
    }
    return VIC_OK;
}

void infile_close(struct infile *in)
{
    if (in->descriptor >= 0) close(in->descriptor);
    in->descriptor = -1;
}
