import assert from 'node:assert/strict';
import { machine, site, startBeforeEach } from './testing/sending-ground.ts';

const minuteMs = 60_000;

describe('DestinationReturns', () => {
  startBeforeEach();

  it('tries at once when the replication stream of the site comes back', async () => {
    machine.site().isUp = false;
    await machine.order({});
    await site.becomes(({ state }) => state === 'retrying');
    machine.site().isUp = true;
    const beforeMs = machine.clock.nowMs();
    site.connected('PS1');
    await site.allEnded();
    assert.ok(machine.clock.nowMs() - beforeMs < minuteMs / 2);
  });

  it('tries at once when the site came back while a try was failing', async () => {
    const fake = machine.site();
    fake.isUp = false;
    fake.onUnreachable = () => {
      fake.isUp = true;
      site.connected('PS1');
    };
    const beforeMs = machine.clock.nowMs();
    await machine.order({});
    await site.allEnded();
    assert.ok(machine.clock.nowMs() - beforeMs < minuteMs / 2);
  });
});
