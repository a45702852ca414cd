/* SPDX-License-Identifier: Apache-2.0 */
/* Linked, with --wrap=pthread_create, into each test without the label threads: ThreadSanitizer does not run it, so it
 * must start no thread. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument)
{
    (void)thread, (void)attributes, (void)body, (void)argument;
    fprintf(stderr,
            "This test starts a thread and has not the label \"threads\", so ThreadSanitizer would not see it: "
            "add what it calls to `starts_threads` in tests/CMakeLists.txt.\n");
    abort();
}
