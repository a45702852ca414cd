/* SPDX-License-Identifier: Apache-2.0 */
/* `vicinal serve` in a build without the headers of libmicrohttpd and jansson. */
#include "cli.h"

vic_status cmd_serve(int argc, char **argv, vic_error *err)
{
    (void)argc;
    (void)argv;
    return fail(
        err, VIC_FAILED,
        "this build has no server (VIC_SERVE=OFF, or headers were missing when it was made): install libmicrohttpd's and "
        "jansson's (Debian: apt-get install libmicrohttpd-dev libjansson-dev), and build again");
}
