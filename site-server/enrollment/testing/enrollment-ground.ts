import assert from 'node:assert/strict';
import {
  encodeEnrollmentToken,
  parseEnrollmentToken,
} from '../../../shared/domain/enrollment-token.ts';
import { TestEnrollment } from './test-enrollment.ts';

export const dp1 = 'waybill://dp/PS1DP1';
export const dp2 = 'waybill://dp/PS1DP2';

/** The enrollment of PS1, the top, in the present test: each test has its own. */
export let site: TestEnrollment;

/** Each test of the suite that calls this begins with a site where nobody is enrolled, and ends with it gone. */
export function openBeforeEach(): void {
  beforeEach(async () => {
    site = await TestEnrollment.open();
  });
  afterEach(() => site[Symbol.asyncDispose]());
}

/** Whether somebody was refused for this reason. */
export function reasonOf(reason: string) {
  return (error: { code?: string; details?: { reason?: string } }) => {
    assert.equal(error.code, 'ENROLLMENT_REFUSED');
    assert.equal(error.details?.reason, reason);
    return true;
  };
}

/** The same token with another secret. */
export function withOtherSecret(text: string): string {
  const { token } = parseEnrollmentToken(text);
  assert.ok(token);
  return encodeEnrollmentToken({ ...token, secret: new Uint8Array(16) });
}
