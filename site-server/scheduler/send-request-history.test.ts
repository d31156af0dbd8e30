import assert from 'node:assert/strict';
import { toSendRequestId } from '../../shared/domain/send-request-moves.ts';
import { testSendRequest } from '../../shared/testing/test-send-request.ts';
import { SendingMachine } from '../sender/testing/test-sending.ts';
import { SendRequestHistory } from './send-request-history.ts';

describe('send request history', () => {
  it('keeps as many rows as it may, the newest, and cuts the oldest off in batches', async () => {
    await using machine = await SendingMachine.open();
    const { store } = machine;
    const history = new SendRequestHistory({ store }, 150);
    for (let serial = 1; serial <= 400; serial++) {
      const requestId = toSendRequestId('CS1', serial);
      await store.write([history.add(testSendRequest({ requestId }))], { sync: false });
      await history.trim();
    }
    for (let look = 0; look < 3; look++) await history.trim();
    const kept = (await machine.history()).map(({ requestId }) => requestId);
    assert.ok(kept.length >= 150 && kept.length <= 250, `${kept.length} rows`);
    assert.equal(kept.at(-1), toSendRequestId('CS1', 400));
    assert.equal(kept[0], toSendRequestId('CS1', 400 - kept.length + 1));
  });
});
