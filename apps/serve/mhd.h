/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd, opened when a server starts: linked, it would cost every start of the command 1.2 ms, since it brings
 * GnuTLS with it. */
#ifndef VICINAL_SERVE_MHD_H
#define VICINAL_SERVE_MHD_H

#include "cli.h"

#include <microhttpd.h>

/* clang-format off */
#define MHD_FUNCTIONS(X)                                                                                             \
    X(start_daemon) X(stop_daemon) X(add_connection) X(run) X(get_timeout) X(get_daemon_info) X(get_version)         \
    X(get_connection_values_n) X(get_connection_info) X(suspend_connection) X(resume_connection)                     \
    X(create_response_from_buffer_with_free_callback_cls) X(add_response_header) X(queue_response)                   \
    X(destroy_response)
/* clang-format on */

struct mhd {
#define MHD_MEMBER_(name) __typeof__(&MHD_##name) name;
    MHD_FUNCTIONS(MHD_MEMBER_)
#undef MHD_MEMBER_
    /* This version's parser takes header lines that no server should (hygiene.c looks for them). */
    bool lenient;
};

extern struct mhd mhd; /* NULLs until mhd_open() */
vic_status mhd_open(vic_error *err);

#endif
