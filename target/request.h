/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One call of the control API, from its checked parameters to its answer.
 *
 *	new       request_new: the caller's role, the parameters, the envelope
 *	          (dry_run, request_id, if_generation) are checked
 *	waiting   request_start: changes run one after the other, in their
 *	          order; everything else at once
 *	running   method->run(request): ends, at once or after any number of
 *	          calls, in exactly one request_answer or request_fail
 *	answered  answered(request, result, fault), then it is freed
 */
#ifndef TARGET_REQUEST_H
#define TARGET_REQUEST_H

#include "target/fault.h"
#include "target/house.h"
#include "target/survey.h"
#include <sys/types.h>

#define REQUESTS_WAITING_MAX 256
#define REQUEST_DIGEST_MAX   65

enum role { ROLE_NONE, ROLE_READ, ROLE_WRITE };

struct caller {
	enum role role;
	uid_t uid;
	pid_t pid;
};

struct request {
	struct list link;
	struct house *house;
	const struct api_command *command;
	void (*run)(struct request *request);
	json_t *params;
	struct caller caller;
	bool dry_run;
	bool inner;     /* a step of another change: not queued, logged by it */
	const char *id; /* request_id, in params; NULL */
	char digest[REQUEST_DIGEST_MAX];
	void (*answered)(
	    struct request *request, json_t *result, json_t *fault);
	void *arg;
	bool counted;
	bool told; /* the event of a change: kept, and logged */
	struct loop_task later;

	/* for methods, free to use while running */
	struct call call;
	struct publish_wait publish;
	struct survey *survey; /* freed with the request */
	void (*next)(struct request *request);
	json_t *item;   /* the answer to be; freed with the request */
	json_t *cursor; /* of a page: where the next begins, or null; freed */
	void *own;
	void (*own_free)(void *own);
};

/* Takes params (an object or NULL).  A fault, and no request, when it is not
 * to be run. */
json_t *request_new(struct house *house, const char *method, json_t *params,
    const struct caller *caller, struct request **ret_request);
/* Set answered and arg first.  result or fault are the callee's to keep by a
 * reference; the other one is NULL. */
void request_start(struct request *request);

/* ---- for methods ---- */

/* Takes what it is given.  items: an array. */
void request_answer(struct request *request, json_t *item);
void request_answer_items(struct request *request, json_t *items);
void request_fail(struct request *request, json_t *fault);

/* A transaction of the state; false: the request has failed. */
bool request_begin(struct request *request);
/* Ends it: with the audit row, the event, and the answer for request_id.  On
 * failure the request has failed. */
bool request_commit(struct request *request, json_t *item);
/* After an error of state_...: rolls back and fails. */
void request_state_failed(struct request *request, int error);

/* Publishes, then answers with request->item. */
void request_publish_and_answer(struct request *request);

/* "uid 0, pid 17" */
const char *request_who(const struct request *request, char buf[64]);

/* ---- for the house ---- */

void requests_release(struct house *house); /* the start is over */
void requests_refuse(struct house *house);  /* a stop begins */

/* The method table (methods.c); NULL: none. */
void (*method_find(const char *method))(struct request *request);

#endif
