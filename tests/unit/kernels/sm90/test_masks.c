/* SPDX-License-Identifier: Apache-2.0 */
/* Where each bit of a step goes, as struct tile_arrays says. */
#include "kernels/cuda/sm90/plan/masks.h"

#include "check.h"

static void check_step(uint64_t bits[STAGE_OCTETS][OCTET], unsigned present)
{
    const uint64_t *octets[STAGE_OCTETS];
    uint32_t words[STEP_WORDS];
    for (int j = 0; j < STAGE_OCTETS; j++) octets[j] = present >> j & 1 ? bits[j] : NULL;
    mask_words(octets, words);
    for (int t = 0; t < STEP_WORDS; t++)
        for (int bit = 0; bit < 32; bit++) {
            int row = 16 * (t / 32) + t % 32 / 4 + 8 * (bit % 4 / 2), octet = bit / 4, key = 2 * (t % 4) + bit % 2;
            uint64_t expected = octets[octet] ? octets[octet][key] >> row & 1 : 0;
            CHECK((words[t] >> bit & 1) == expected, "row %d, octet %d, key %d", row, octet, key);
        }
}

static void one_bit_each(void **state)
{
    (void)state;
    for (int i = 0; i < STAGE_KEYS * 64; i++) {
        uint64_t bits[STAGE_OCTETS][OCTET] = { { 0 } };
        bits[i / 512][i / 64 % 8] = (uint64_t)1 << i % 64;
        check_step(bits, 255);
    }
}

static void random_bits_of_some_octets(void **state)
{
    uint64_t seed = 3;
    (void)state;
    for (unsigned present = 0; present < 256; present++) {
        uint64_t bits[STAGE_OCTETS][OCTET];
        for (int i = 0; i < STAGE_KEYS; i++) bits[i / OCTET][i % OCTET] = random_bits(&seed);
        check_step(bits, present);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(one_bit_each),
                                        cmocka_unit_test(random_bits_of_some_octets) };
    return cmocka_run_group_tests_name("kernels_sm90_masks", tests, NULL, NULL);
}
