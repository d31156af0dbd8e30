import type { StatusMessage__Output } from '../../../shared/rpc/generated/waybill/v1/StatusMessage.ts';
import { thenMs } from './fake-moment.ts';

/** A status message. */
export function aMessage(changes: Partial<StatusMessage__Output> = {}): StatusMessage__Output {
  return {
    serial: '5',
    messageId: 2330,
    severity: 'SEVERITY_INFORMATION',
    component: 'SMS_DISTRIBUTION_MANAGER',
    siteCode: 'PS1',
    timeMs: String(thenMs),
    insertionStrings: ['PS100001', 'PS1DP1', '3'],
    packageId: 'PS100001',
    sourceVersion: 3,
    dpId: 'PS1DP1',
    text: 'Package PS100001 version 3 is on distribution point PS1DP1, verified.',
    ...changes,
  };
}

/** A log line as pino writes it. */
export const aLogLine = {
  line: JSON.stringify({
    level: 30,
    time: thenMs + 7,
    component: 'package-transfer-manager',
    dpId: 'PS1DP1',
    sizeBytes: 4096,
    msg: 'Content transferred',
  }),
};
