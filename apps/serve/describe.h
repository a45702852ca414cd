/* SPDX-License-Identifier: Apache-2.0 */
/* What the server says of itself and its models: metadata, configuration, statistics. */
#ifndef VICINAL_SERVE_DESCRIBE_H
#define VICINAL_SERVE_DESCRIBE_H

#include "request.h"

/* Routes' work(). */
unsigned describe_server(struct request *r);
unsigned describe_model(struct request *r);
unsigned describe_config(struct request *r);
unsigned describe_statistics(struct request *r);
unsigned describe_all_statistics(struct request *r);
unsigned describe_status(struct request *r);

/* Of all endpoints of a model together. */
void model_info(const struct model *model, vic_endpoint_info *out);

#endif
