import assert from 'node:assert/strict';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { AddressPace } from './address-pace.ts';

const config = { waitMs: 1_000, waitMsMax: 8_000, forgottenMs: 60_000, addressesMax: 3 };

describe('the pace of an address (SEC-2)', () => {
  it('doubles its wait with each failure, up to a limit, and forgets in time', async () => {
    const clock = new FakeClock();
    const pace = new AddressPace(clock, config);
    const waits: number[] = [];
    for (let count = 0; count < 6; count++) {
      pace.failed('192.0.2.1');
      waits.push(pace.waitMsOf('192.0.2.1'));
    }
    assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
    await clock.advance(7_999);
    assert.equal(pace.waitMsOf('192.0.2.1'), 1);
    await clock.advance(60_000);
    pace.failed('192.0.2.1');
    assert.equal(pace.waitMsOf('192.0.2.1'), 1_000);
  });

  it('holds up nobody else, but all of one IPv6 network', () => {
    const pace = new AddressPace(new FakeClock(), config);
    pace.failed('2001:db8:1:2::1');
    pace.failed('192.0.2.1');
    assert.equal(pace.waitMsOf('2001:db8:1:2:ffff::9'), 1_000);
    assert.equal(pace.waitMsOf('2001:db8:1:3::1'), 0);
    assert.equal(pace.waitMsOf('192.0.2.2'), 0);
    assert.equal(pace.waitMsOf('::ffff:192.0.2.1'), 1_000);
  });

  it('remembers few addresses, those that failed last', () => {
    const pace = new AddressPace(new FakeClock(), config);
    for (const address of ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.1', '10.0.0.4']) {
      pace.failed(address);
    }
    const waits = [1, 2, 3, 4].map((last) => pace.waitMsOf(`10.0.0.${last}`));
    assert.deepEqual(waits, [2_000, 0, 1_000, 1_000]);
  });
});
