/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "mhd.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

struct mhd mhd;

/* "0.9.75" as 975; the next one, 0.9.76, came with a parser that refuses by itself. */
static bool is_lenient(const char *version)
{
    char *end;
    const long major = strtol(version, &end, 10);
    long minor = 0, patch = 0;
    if (*end == '.') minor = strtol(end + 1, &end, 10);
    if (*end == '.') patch = strtol(end + 1, &end, 10);
    return major == 0 && minor == 9 && patch <= 75;
}

vic_status mhd_open(vic_error *err)
{
    void *library;
    if (mhd.start_daemon) return VIC_OK;
    library = dlopen("libmicrohttpd.so.12", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return fail(err, VIC_FAILED,
                    "libmicrohttpd.so.12 is missing, by which vicinal speaks HTTP (Debian: apt-get install "
                    "libmicrohttpd12): %s",
                    dlerror());
#define MHD_FIND_(name)                                                                                              \
    do {                                                                                                             \
        void *found_ = dlsym(library, "MHD_" #name);                                                                 \
        if (!found_) {                                                                                               \
            memset(&mhd, 0, sizeof mhd);                                                                             \
            return fail(err, VIC_FAILED,                                                                             \
                        "libmicrohttpd.so.12 has no MHD_" #name "(): expected version 0.9.73 or later");             \
        }                                                                                                            \
        memcpy(&mhd.name, &found_, sizeof found_);                                                                   \
    } while (0);
    MHD_FUNCTIONS(MHD_FIND_)
#undef MHD_FIND_
    mhd.lenient = is_lenient(mhd.get_version());
    return VIC_OK;
}
