import assert from 'node:assert/strict';
import { servingPassage } from '../../shared/domain/transfer-passage.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TransferArbiter } from '../../shared/transfer-arbiter/transfer-arbiter.ts';
import { ServingLimit } from './serving-limit.ts';

describe('ServingLimit (PTM-6)', () => {
  it('is what is set, from the start on and at once after each change', async () => {
    const arbiter = new TransferArbiter(new FakeClock());
    const config = { kilobytesPerSecond: 500 };
    let changed = () => {};
    let listenerCount = 0;
    const settings = {
      onChanged: (listener: () => void) => {
        [changed, listenerCount] = [listener, listenerCount + 1];
        return () => {
          listenerCount -= 1;
        };
      },
    };
    const limit = new ServingLimit({ arbiter, settings }, config);
    const inForce = () => arbiter.controlsOf(servingPassage).limit;
    assert.equal(inForce(), undefined);
    await limit.start();
    assert.deepEqual(inForce(), { kind: 'rate', bytesPerSecond: 500_000 });
    config.kilobytesPerSecond = 20;
    changed();
    assert.deepEqual(inForce(), { kind: 'rate', bytesPerSecond: 20_000 });
    config.kilobytesPerSecond = 1_000_000_000;
    changed();
    assert.equal(inForce(), undefined);
    await limit.stop();
    assert.equal(listenerCount, 0);
  });
});
