import assert from 'node:assert/strict';
import { CapturedLog } from './captured-log.ts';

describe('CapturedLog', () => {
  it('holds lines with their facts, those of child loggers too', () => {
    const log = new CapturedLog();
    log.logger.child({ component: 'despooler' }).warn({ jobSerial: 1 }, 'Job was late');
    log.logger.debug('Looked again');
    assert.deepEqual(log.messages(), ['Job was late', 'Looked again']);
    assert.deepEqual(log.messages(40), ['Job was late']);
    assert.equal(log.lines[0]?.component, 'despooler');
    assert.equal(log.lines[0]?.jobSerial, 1);
  });
});
