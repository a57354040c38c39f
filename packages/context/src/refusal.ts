/** What a request is answered that comes too late: nothing of its handler has run. */

/** Why a request was refused. */
export const LATE_DETAIL = 'the deadline of the request has passed; nothing was done';

/** Status of the refusal. */
export const LATE_STATUS = 504;
/** Content type of its body (RFC 9457). */
export const LATE_TYPE = 'application/problem+json';
/** Its body. */
export const LATE_BODY: string = JSON.stringify({
  type: 'about:blank',
  title: 'Gateway Timeout',
  status: LATE_STATUS,
  detail: LATE_DETAIL,
  code: 'RESIL_DEADLINE_PASSED',
});
