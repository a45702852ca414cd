/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/batch.h"

struct batch_choice batch_choose(struct queue *q, int64_t now, bool hurry, bool computes)
{
    const struct query *urgent = queue_most_urgent(q);
    struct batch_choice choice = { BATCH_WAIT, NULL, 0, urgent ? urgent->deadline : INT64_MAX };
    if (urgent && urgent->deadline <= now) return (struct batch_choice){ .step = BATCH_EXPIRE, .until = now };
    const int64_t next = queue_advance(q, now, hurry);
    if (next < choice.until) choice.until = next;
    choice.lane = queue_first_ready(q, computes);
    if (!choice.lane) return choice;
    choice.step = BATCH_TAKE;
    choice.n = choice.lane->waiting;
    if (choice.n > choice.lane->layout.most) choice.n = choice.lane->layout.most;
    return choice;
}
