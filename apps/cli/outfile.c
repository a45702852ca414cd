/* SPDX-License-Identifier: Apache-2.0 */
#define _XOPEN_SOURCE 700
#include "outfile.h"

#include "unfinished.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static vic_status refused(const char *path, int reason, vic_error *err)
{
    const char *advice = "";
    if (reason == ENOENT) advice = "; its folder does not exist: make it first, or give another path";
    if (reason == EISDIR) advice = "; expected the name of a file, got that of a folder";
    if (reason == ENOSPC) advice = "; free some space, or write to another disk. Nothing was left behind";
    return fail(err, VIC_CANNOT_WRITE, "cannot write %s: %s%s", path, strerror(reason), advice);
}

/* Where `path` leads: existing names resolved, so that a symbolic link stays one.  NULL with errno. */
static char *destination(const char *path, bool *in_place)
{
    struct stat about;
    *in_place = false;
    if (stat(path, &about) != 0) return errno == ENOENT ? strdup(path) : NULL;
    if (S_ISDIR(about.st_mode)) {
        errno = EISDIR;
        return NULL;
    }
    *in_place = !S_ISREG(about.st_mode);
    return *in_place ? strdup(path) : realpath(path, NULL);
}

/* A name for mkstemp() in the folder of `path`.  Long names are cut, as file systems allow 255 bytes and some 143,
 * but not within a character.  NULL without memory. */
static char *name_beside(const char *path)
{
    static const char ending[] = ".XXXXXX";
    enum { LONGEST = 128 };
    const char *slash = strrchr(path, '/');
    size_t folder = slash ? (size_t)(slash - path) + 1 : 0, length = strlen(path + folder);
    char *name;
    if (length > LONGEST)
        for (length = LONGEST; length > 1 && (path[folder + length] & 0xc0) == 0x80;) length--;
    name = malloc(folder + length + sizeof ending);
    if (!name) return NULL;
    memcpy(name, path, folder + length);
    memcpy(name + folder + length, ending, sizeof ending);
    return name;
}

vic_status outfile_open(struct outfile *o, const char *path, vic_error *err)
{
    bool in_place;
    int file, reason;
    mode_t mask;
    memset(o, 0, sizeof *o);
    o->shown = path;
    o->path = destination(path, &in_place);
    if (!o->path) return refused(path, errno, err);
    if (in_place) {
        o->stream = fopen(o->path, "wb");
        if (o->stream) return VIC_OK;
        reason = errno;
        outfile_abandon(o);
        return refused(path, reason, err);
    }
    o->temporary = name_beside(o->path);
    if (!o->temporary) {
        outfile_abandon(o);
        return fail(err, VIC_NO_MEMORY, "no memory for the name of %s", path);
    }
    file = unfinished_begin(o->temporary);
    if (file >= 0) o->stream = fdopen(file, "wb");
    if (!o->stream) {
        reason = errno;
        if (file >= 0) {
            close(file);
            unlink(o->temporary);
            unfinished_end(o->temporary);
        }
        free(o->temporary);
        o->temporary = NULL;
        outfile_abandon(o);
        return refused(path, reason, err);
    }
    /* mkstemp() makes files for the owner alone; ours get the usual permissions. */
    mask = umask(0);
    umask(mask);
    if (fchmod(file, (mode_t)(0666 & ~mask)) != 0) o->failure = errno;
    return VIC_OK;
}

int outfile_descriptor(const struct outfile *o)
{
    return fileno(o->stream);
}

void outfile_write(struct outfile *o, const void *bytes, size_t count)
{
    if (o->failure || count == 0) return;
    errno = 0;
    if (fwrite(bytes, 1, count, o->stream) != count) o->failure = errno ? errno : EIO;
}

vic_status outfile_commit(struct outfile *o, vic_error *err)
{
    vic_status st = VIC_OK;
    if (fflush(o->stream) != 0 && !o->failure) o->failure = errno;
    if (fclose(o->stream) != 0 && !o->failure) o->failure = errno;
    o->stream = NULL;
    if (!o->failure && o->temporary && rename(o->temporary, o->path) != 0) o->failure = errno;
    if (o->failure) {
        st = refused(o->shown, o->failure, err);
    } else {
        unfinished_end(o->temporary);
        free(o->temporary);
        o->temporary = NULL;
    }
    outfile_abandon(o);
    return st;
}

void outfile_abandon(struct outfile *o)
{
    if (o->stream) fclose(o->stream);
    if (o->temporary) {
        unlink(o->temporary);
        unfinished_end(o->temporary);
    }
    free(o->temporary);
    free(o->path);
    memset(o, 0, sizeof *o);
}

vic_status outfile_save(const char *path, const void *bytes, size_t count, vic_error *err)
{
    struct outfile o;
    TRY(outfile_open(&o, path, err));
    outfile_write(&o, bytes, count);
    return outfile_commit(&o, err);
}

vic_status outfile_probe(const char *path, vic_error *err)
{
    struct outfile o;
    struct stat about;
    /* Opening a pipe would wait for its reader. */
    if (stat(path, &about) == 0 && !S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode)) return VIC_OK;
    TRY(outfile_open(&o, path, err));
    outfile_abandon(&o);
    return VIC_OK;
}
