// SPDX-License-Identifier: Apache-2.0
// operator new, for what gemmi allocates in our own objects.
#include "faults/faults.h"

#include <cstddef>
#include <new>

extern "C" {
void *__real__Znwm(std::size_t bytes);
void *__wrap__Znwm(std::size_t bytes);

void *__wrap__Znwm(std::size_t bytes)
{
    if (faults_hit("operator new")) throw std::bad_alloc();
    return __real__Znwm(bytes);
}
}
