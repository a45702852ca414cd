/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/batch.h"

#include "engine/version.h"

/* The time from which the lane may be launched; INT64_MIN = at once. */
static int64_t due(const struct lane *l, bool hurry)
{
    const int64_t delay = l->version->max_delay;
    if (hurry || delay == 0 || l->waiting >= l->layout.most || (l->layout.flags & LAYOUT_NOTHING)) return INT64_MIN;
    return l->head->submitted + delay;
}

struct batch_choice batch_choose(const struct queue *q, int64_t now, bool hurry)
{
    const struct query *urgent = queue_most_urgent(q);
    struct batch_choice choice = { BATCH_WAIT, NULL, 0, urgent ? urgent->deadline : INT64_MAX };
    if (urgent && urgent->deadline <= now) return (struct batch_choice){ .step = BATCH_EXPIRE, .until = now };
    for (struct lane *l = q->lanes; l; l = l->next) {
        if (!version_settled(l->version)) continue;
        int64_t from = due(l, hurry);
        if (from > now) {
            if (from < choice.until) choice.until = from;
        } else if (!choice.lane || l->head->submitted < choice.lane->head->submitted) {
            choice.lane = l;
        }
    }
    if (!choice.lane) return choice;
    choice.step = BATCH_TAKE;
    choice.n = choice.lane->waiting;
    if (choice.n > choice.lane->layout.most) choice.n = choice.lane->layout.most;
    return choice;
}
