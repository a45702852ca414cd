/* SPDX-License-Identifier: Apache-2.0 */
/* What a client of `serve` sends as JSON: names, shapes, sizes, numbers; and bytes as base64. */
#include "fuzz/file.h"
#include "serve/repository.h"
#include "serve/tensors.h"

static void take_numbers(const struct infer_head *head)
{
    struct refusal why;
    for (int i = 0; i < INPUTS; i++) {
        const struct tensor_head *t = &head->input[i];
        char *to;
        if (t->place != PLACE_JSON || t->bytes > 1 << 20) continue;
        to = malloc(t->bytes ? t->bytes : 1); /* exactly, so that a number too many is seen */
        if (!to) abort();
        (void)infer_numbers(t, input_names[i], to, &why);
        free(to);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct infer_head head;
    struct refusal why = { 0, "" };
    unsigned char *out = malloc(size + 1);
    char *text = fuzz_text(bytes, size);
    size_t decoded;
    if (!out) abort();
    if (infer_head_read(text, size, &head, &why)) {
        size_t binary = 0;
        for (int i = 0; i < INPUTS; i++)
            if (head.input[i].place == PLACE_BINARY) binary += head.input[i].bytes;
        if (binary != head.binary || head.outputs < 1 || head.outputs > OUTPUTS) abort();
        take_numbers(&head);
    } else if (why.status < 400 || why.status > 599 || !why.text[0] || head.root) {
        abort();
    }
    infer_head_close(&head);
    if (base64_decode(text, size, out, size, &decoded) && decoded > size) abort();
    free(text);
    free(out);
    return 0;
}
