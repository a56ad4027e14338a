/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each question has a struct lio of its own: a round (house_tcmu.c) may be
 * under way. */
#include "target/kernel_ask.h"
#include "base/loop.h"
#include "target/kernel_view.h"
#include "target/tcmu/lio.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct question {
	struct loop_work work;
	struct lio *lio;
	uint8_t naa[8];
	char iqn[LIO_IQN_MAX + 8], initiator[LIO_IQN_MAX];
	int result;
	char answer[LIO_PROBLEM_MAX];
	kernel_answer *done;
	void *arg;
};

static void
question_done(struct loop_work *work)
{
	struct question *question = container_of(work, struct question, work);

	question->done(question->arg, question->result, question->answer);
	lio_free(question->lio);
	free(question);
}

static struct question *
question_new(
    void (*run)(struct loop_work *work), kernel_answer *done, void *arg)
{
	struct question *question = calloc(1, sizeof(*question));

	assert(question != NULL);
	question->lio = lio_new(NULL);
	assert(question->lio != NULL);
	question->done = done;
	question->arg = arg;
	question->work.run = run;
	question->work.done = question_done;
	return question;
}

static void
check_run(struct loop_work *work)
{
	struct question *question = container_of(work, struct question, work);

	question->result = lio_check(question->lio);
	if (question->result < 0)
		snprintf(question->answer, sizeof(question->answer), "%s",
		    lio_problem(question->lio));
}

void
kernel_ask_usable(struct loop *home, kernel_answer *done, void *arg)
{
	struct question *question = question_new(check_run, done, arg);

	loop_offload(home, &question->work);
}

static void
in_use_run(struct loop_work *work)
{
	struct question *question = container_of(work, struct question, work);

	question->result =
	    lio_loop_in_use(question->lio, question->naa, question->answer);
}

void
kernel_ask_disk(
    struct loop *home, const uuid_t uuid, kernel_answer *done, void *arg)
{
	struct question *question = question_new(in_use_run, done, arg);

	loop_naa_from_uuid(uuid, question->naa);
	loop_offload(home, &question->work);
}

static void
logged_in_run(struct loop_work *work)
{
	struct question *question = container_of(work, struct question, work);

	question->result =
	    lio_has_session(question->lio, question->iqn, question->initiator);
}

void
kernel_ask_session(struct loop *home, const char *iqn, const char *initiator,
    kernel_answer *done, void *arg)
{
	struct question *question = question_new(logged_in_run, done, arg);

	snprintf(question->iqn, sizeof(question->iqn), "%s", iqn);
	snprintf(
	    question->initiator, sizeof(question->initiator), "%s", initiator);
	loop_offload(home, &question->work);
}
