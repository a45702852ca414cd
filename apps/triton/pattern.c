/* SPDX-License-Identifier: Apache-2.0 */
/* The pattern of a model, from the file that its configuration names. */
#include "config.h"
#include "vicinal_dev.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* Structure files are read by a library of their own, which needs zlib and the C++ runtime; models with a .vnp file
 * work where it is not.  The loader looks for it where the backend's other libraries are found. */
struct structure_library {
    __typeof__(&vic_structure_read) read;
    __typeof__(&vic_structure_points) points;
    __typeof__(&vic_structure_free) free;
};

static vic_status open_library(struct structure_library *out, vic_error *err)
{
    char name[64];
    snprintf(name, sizeof name, "libvicinal_structure.so.%d.%d", VIC_VERSION_MAJOR, VIC_VERSION_MINOR);
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL); /* stays open */
    if (!library)
        return fail(
            err, VIC_CANNOT_READ,
            "structure files need %s beside libvicinal.so (%s); without it make a pattern: vicinal pattern FILE "
            "--cutoff R -o pattern.vnp",
            name, dlerror());
    /* POSIX's way from dlsym()'s pointer to one to a function. */
    *(void **)&out->read = dlsym(library, "vic_structure_read");
    *(void **)&out->points = dlsym(library, "vic_structure_points");
    *(void **)&out->free = dlsym(library, "vic_structure_free");
    if (!out->read || !out->points || !out->free)
        return fail(err, VIC_CANNOT_READ, "%s is not of this version of vicinal: %s", name, dlerror());
    return VIC_OK;
}

static vic_status from_structure(const struct config *config, vic_context *c, const char *path, vic_pattern **out,
                                 vic_error *err)
{
    struct structure_library library = { NULL, NULL, NULL };
    vic_structure *s = NULL;
    vic_points points = VIC_INIT(vic_points);
    vic_pattern_options options = VIC_INIT(vic_pattern_options);
    options.exclude_self = config->no_self;
    if (config->cutoff <= 0.0 && config->nearest == 0)
        return fail(
            err, VIC_BAD_ARGUMENT,
            "config.pbtxt: parameter cutoff is missing: which pairs of %s attend to each other, as in parameters "
            "{ key: \"cutoff\" value: { string_value: \"10\" } } (angstrom); or nearest, a number of atoms",
            config->file);
    TRY(open_library(&library, err));
    vic_status st;
    TRY_GOTO(library.read(path, &config->read, &s, err), end);
    TRY_GOTO(library.points(s, &points, err), end);
    if (config->nearest > 0) {
        st = vic_pattern_nearest(c, &points, NULL, config->nearest, &options, out, err);
    } else {
        st = vic_pattern_cutoff(c, &points, NULL, config->cutoff, &options, out, err);
    }
end:
    library.free(s);
    return st;
}

static bool ends_in(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

vic_status config_pattern(const struct config *config, vic_context *c, const char *folder, vic_pattern **out,
                          vic_error *err)
{
    const char *file = config->file[0] ? config->file : "pattern.vnp";
    const bool generated = !strncmp(file, "blocks:", 7) || !strncmp(file, "origin:", 7);
    const bool given = config->cutoff > 0.0 || config->nearest > 0 || config->no_self;
    char path[4096];
    *out = NULL;
    if (generated || ends_in(file, ".vnp")) {
        if (given)
            return fail(
                err, VIC_BAD_ARGUMENT,
                "config.pbtxt: parameters cutoff, nearest and no-self belong to a structure; the pairs of %s are "
                "there already%s",
                file, config->file[0] ? "" : ". Name the structure by parameter structure");
    }
    if (generated) return vic_pattern_generate(c, file, NULL, out, err);
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, file) >= sizeof path)
        return fail(err, VIC_BAD_ARGUMENT, "%s/%s: expected a path of less than %zu bytes", folder, file,
                    sizeof path);
    if (ends_in(file, ".vnp")) return vic_pattern_load(c, path, out, err);
    return from_structure(config, c, path, out, err);
}
