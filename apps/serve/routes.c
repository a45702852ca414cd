/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "routes.h"

#include "describe.h"
#include "infer.h"
#include "metrics.h"
#include "page.h"
#include "repository.h"

#include <stdio.h>
#include <string.h>

/* ---- answers of a line ---- */

static unsigned say(struct request *r, const char *json)
{
    buffer_text(&r->text, json);
    return 200;
}

static unsigned no(struct request *r, unsigned status, const char *text)
{
    refuse(&r->why, status, "%s", text);
    return status;
}

static unsigned live(struct request *r)
{
    return say(r, "{\"live\":true}");
}

static unsigned ready(struct request *r)
{
    return r->loop->server->ready ? say(r, "{\"ready\":true}") : no(r, 503, "the server is draining or has failed");
}

static unsigned model_ready(struct request *r)
{
    struct model *model = r->name_good ? models_find(&r->loop->server->models, r->name) : NULL;
    const bool good = model && (!r->version_given || r->version_good) && r->loop->server->ready;
    model_release(model);
    if (!good) return no(r, 400, "Model version not ready");
    buffer_printf(&r->text, "{\"name\":\"%s\",\"ready\":true}", r->name);
    return 200;
}

static unsigned not_here(struct request *r)
{
    return no(r, 501, "tracing and changes of the log while it runs are not supported");
}

/* ---- the table ---- */

static const struct route routes[] = {
    { "POST", "/v2/models/{model}/infer", 0, BODY_TENSORS, NULL, infer_begin, NULL },
    { "POST", "/v2/models/{model}/versions/{version}/infer", 0, BODY_TENSORS, NULL, infer_begin, NULL },
    { "GET", "/v2/health/live", ROUTE_OPEN, BODY_NONE, NULL, live, NULL },
    { "GET", "/v2/health/ready", ROUTE_OPEN, BODY_NONE, NULL, ready, NULL },
    { "GET", "/v2", 0, BODY_NONE, NULL, describe_server, NULL },
    { "GET", "/v2/", 0, BODY_NONE, NULL, describe_server, NULL },
    { "GET", "/v2/models/stats", 0, BODY_NONE, NULL, describe_all_statistics, NULL },
    { "GET", "/v2/models/{model}", 0, BODY_NONE, NULL, describe_model, NULL },
    { "GET", "/v2/models/{model}/versions/{version}", 0, BODY_NONE, NULL, describe_model, NULL },
    { "GET", "/v2/models/{model}/ready", 0, BODY_NONE, NULL, model_ready, NULL },
    { "GET", "/v2/models/{model}/versions/{version}/ready", 0, BODY_NONE, NULL, model_ready, NULL },
    { "GET", "/v2/models/{model}/config", 0, BODY_NONE, NULL, describe_config, NULL },
    { "GET", "/v2/models/{model}/versions/{version}/config", 0, BODY_NONE, NULL, describe_config, NULL },
    { "GET", "/v2/models/{model}/stats", 0, BODY_NONE, NULL, describe_statistics, NULL },
    { "GET", "/v2/models/{model}/versions/{version}/stats", 0, BODY_NONE, NULL, describe_statistics, NULL },
    { "POST", "/v2/repository/index", 0, BODY_SMALL, NULL, repository_index, NULL },
    { "POST", "/v2/repository/models/{model}/load", ROUTE_ADMIN, BODY_LOAD, NULL, repository_load,
      repository_finish },
    { "POST", "/v2/repository/models/{model}/unload", ROUTE_ADMIN, BODY_SMALL, NULL, repository_unload, NULL },
    { "GET", "/v2/systemsharedmemory/status", 0, BODY_NONE, NULL, repository_system_status, NULL },
    { "GET", "/v2/systemsharedmemory/region/{region}/status", 0, BODY_NONE, NULL, repository_system_status, NULL },
    { "POST", "/v2/systemsharedmemory/region/{region}/register", 0, BODY_SMALL, NULL, repository_system_register,
      NULL },
    { "POST", "/v2/systemsharedmemory/region/{region}/unregister", 0, BODY_SMALL, NULL, repository_system_unregister,
      NULL },
    { "POST", "/v2/systemsharedmemory/unregister", 0, BODY_SMALL, NULL, repository_system_unregister, NULL },
    { "GET", "/v2/cudasharedmemory/status", 0, BODY_NONE, NULL, repository_cuda_status, NULL },
    { "GET", "/v2/cudasharedmemory/region/{region}/status", 0, BODY_NONE, NULL, repository_cuda_status, NULL },
    { "POST", "/v2/cudasharedmemory/region/{region}/register", 0, BODY_SMALL, NULL, repository_cuda_register, NULL },
    { "POST", "/v2/cudasharedmemory/region/{region}/unregister", 0, BODY_SMALL, NULL, repository_cuda_unregister,
      NULL },
    { "POST", "/v2/cudasharedmemory/unregister", 0, BODY_SMALL, NULL, repository_cuda_unregister, NULL },
    { "GET", "/v2/trace/setting", 0, BODY_NONE, NULL, not_here, NULL },
    { "POST", "/v2/trace/setting", 0, BODY_SMALL, NULL, not_here, NULL },
    { "GET", "/v2/models/{model}/trace/setting", 0, BODY_NONE, NULL, not_here, NULL },
    { "POST", "/v2/models/{model}/trace/setting", 0, BODY_SMALL, NULL, not_here, NULL },
    { "GET", "/v2/logging", 0, BODY_NONE, NULL, not_here, NULL },
    { "POST", "/v2/logging", 0, BODY_SMALL, NULL, not_here, NULL },
    { "GET", "/metrics", 0, BODY_NONE, "text/plain; version=0.0.4; charset=utf-8", metrics_write, NULL },
    { "GET", "/status.json", 0, BODY_NONE, NULL, describe_status, NULL },
    { "GET", "/", ROUTE_OPEN, BODY_NONE, "text/html; charset=utf-8", page_write, NULL },
};
enum { ROUTES = sizeof routes / sizeof routes[0] };

/* One part of the path as a name; what no name can be stays empty. */
static void take_name(struct request *r, const char *text, size_t length)
{
    r->name_good = false;
    r->name[0] = '\0';
    if (length > MOST_NAME) return;
    memcpy(r->name, text, length);
    r->name[length] = '\0';
    r->name_good = good_name(r->name);
    if (!r->name_good) r->name[0] = '\0';
}

static bool take_part(struct request *r, const char *key, const char *text, size_t length)
{
    if (length == 0) return false;
    if (strncmp(key, "{version}", 9) != 0) {
        take_name(r, text, length);
        return true;
    }
    r->version_given = true;
    r->version_good = length == 1 && *text == '1';
    return strspn(text, "0123456789") >= length;
}

static bool matches(const char *pattern, const char *url, struct request *r)
{
    r->version_given = r->version_good = r->name_good = false;
    r->name[0] = '\0';
    while (*pattern && *url) {
        if (*pattern == '{') {
            const size_t length = strcspn(url, "/");
            if (!take_part(r, pattern, url, length)) return false;
            url += length;
            pattern = strchr(pattern, '}') + 1;
        } else if (*pattern++ != *url++) {
            return false;
        }
    }
    return *pattern == '\0' && *url == '\0';
}

const struct route *route_find(const char *method, const char *url, struct request *r)
{
    bool gets = false, posts = false;
    for (int i = 0; i < ROUTES; i++) {
        if (!matches(routes[i].path, url, r)) continue;
        if (strcmp(method, routes[i].method) == 0 ||
            (strcmp(method, "HEAD") == 0 && strcmp(routes[i].method, "GET") == 0))
            return &routes[i];
        if (strcmp(routes[i].method, "GET") == 0)
            gets = true;
        else
            posts = true;
    }
    r->allow = gets && posts ? "GET, HEAD, POST" : gets ? "GET, HEAD" : posts ? "POST" : NULL;
    if (r->allow)
        refuse(&r->why, 405, "Method Not Allowed");
    else if (strcmp(url, "/v2/models") == 0 || strcmp(url, "/v2/models/") == 0)
        refuse(&r->why, 404, "Not Found; POST /v2/repository/index lists the models");
    else
        refuse(&r->why, 404, "Not Found");
    return NULL;
}
