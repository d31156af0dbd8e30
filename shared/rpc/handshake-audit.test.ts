import assert from 'node:assert/strict';
import { FakeClock } from '../testing/fake-clock.ts';
import type { AuditEvent } from './audit-event.ts';
import { HandshakeAudit } from './handshake-audit.ts';

function newAudit() {
  const clock = new FakeClock();
  const events: AuditEvent[] = [];
  const config = { recordsPerAddressMax: 2, recordsMax: 3, windowMs: 60_000 };
  const audit = new HandshakeAudit({ onAudit: (event) => events.push(event), clock }, config);
  return { audit, clock, written: () => events.map((event) => `${event.address} ${event.detail}`) };
}

describe('refused handshakes in the audit trail (ADM-5)', () => {
  it('are written down with address and reason', () => {
    const { audit, written } = newAudit();
    audit.refused('10.0.0.1', 'no certificate');
    assert.deepEqual(written(), ['10.0.0.1 no certificate']);
  });

  it('are left out beyond a number for one address, and others are not', () => {
    const { audit, written } = newAudit();
    for (let count = 0; count < 1_000; count++) audit.refused('10.0.0.1', 'no certificate');
    audit.refused('10.0.0.2', 'no TLS');
    assert.equal(written().length, 3);
    assert.equal(written()[2], '10.0.0.2 no TLS; 998 more were not recorded');
  });

  it('are counted together for a network of IPv6: one machine has all of its addresses', () => {
    const { audit, written } = newAudit();
    for (let count = 0; count < 1_000; count++)
      audit.refused(`2001:db8::${count}`, 'no certificate');
    audit.refused('2001:db8:0:1::1', 'no TLS');
    assert.deepEqual(written().slice(2), ['2001:db8:0:1::1 no TLS; 998 more were not recorded']);
  });

  it('are left out beyond a number for all addresses, so that a flood cannot fill the disk', () => {
    const { audit, written } = newAudit();
    for (let count = 0; count < 1_000; count++) audit.refused(`10.0.0.${count}`, 'no certificate');
    assert.equal(written().length, 3);
  });

  it('are written down again in the next window, with how many were left out', async () => {
    const { audit, clock, written } = newAudit();
    for (let count = 0; count < 5; count++) audit.refused('10.0.0.1', 'no certificate');
    await clock.advance(60_000);
    audit.refused('10.0.0.1', 'no certificate');
    audit.refused('10.0.0.1', 'no certificate');
    assert.deepEqual(written().slice(2), [
      '10.0.0.1 no certificate; 3 more were not recorded',
      '10.0.0.1 no certificate',
    ]);
  });
});
