/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "base/stream.h"

#include "base/status.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

vic_status stream_to(int descriptor, const char *name, FILE **out, vic_error *err)
{
    int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0), reason;
    if (copy < 0 && errno == EBADF)
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s: descriptor: expected an open file, got %d", name, descriptor);
    if (copy >= 0 && (*out = fdopen(copy, "w"))) return VIC_OK;
    reason = errno;
    if (copy >= 0) close(copy);
    return vic_fail(err, VIC_CANNOT_WRITE, "%s: cannot write to descriptor %d: %s", name, descriptor,
                    strerror(reason));
}

vic_status stream_close(FILE *stream, const char *name, vic_error *err)
{
    bool wrong;
    errno = 0;
    wrong = fflush(stream) != 0 || ferror(stream);
    wrong = fclose(stream) != 0 || wrong;
    if (!wrong) return VIC_OK;
    return vic_fail(err, VIC_CANNOT_WRITE, "%s: cannot write: %s", name, strerror(errno ? errno : EIO));
}
