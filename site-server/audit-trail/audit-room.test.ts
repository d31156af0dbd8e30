import assert from 'node:assert/strict';
import type { AuditEvent } from '../../shared/rpc/audit-event.ts';
import { AuditRoom } from './audit-room.ts';

const dayMs = 24 * 3_600_000;
const config = {
  refused: { burst: 10, perDay: 4 },
  refusedOfOne: { burst: 5, perDay: 2 },
  done: { burst: 10, perDay: 4 },
  doneOfOne: { burst: 5, perDay: 2 },
};

function event(caller: string, result = 'REFUSED', address = '10.0.0.1'): AuditEvent {
  return { caller, address, method: 'm', result, detail: 'd' };
}
const dp = (name: string) => `waybill://dp/${name}`;
const alice = 'waybill://admin/full/alice';

describe('room of the audit trail', () => {
  let room: AuditRoom;
  beforeEach(() => {
    room = new AuditRoom(config);
  });

  /** How many of these get a record. */
  function taken(count: number, of: (index: number) => AuditEvent, nowMs = 0): number {
    let takenCount = 0;
    for (let index = 0; index < count; index++) {
      if (room.wordOn(of(index), nowMs).isTaken) takenCount += 1;
    }
    return takenCount;
  }

  it('is there for all that administrators did, and for what the trail says itself', () => {
    assert.equal(
      taken(1_000, () => event(alice, 'ok')),
      1_000,
    );
    assert.equal(
      taken(1_000, () => event('', 'lost')),
      1_000,
    );
  });

  it('is there for whoever was enrolled, however much machines do besides (SEC-2)', () => {
    const done = (index: number) => event(dp(`D${index}`), 'ok');
    const stranger = () => event('unauthenticated', 'ok');
    assert.equal(taken(100, done), 10);
    assert.equal(taken(1, stranger), 0, 'nothing is left');
    const word = room.wordOn({ ...stranger(), isOnce: true }, 0);
    assert.deepEqual(word, { isTaken: true, event: stranger() });
  });

  it('is small for one caller, and larger for all of a kind', () => {
    for (const kind of [dp, (name: string) => `waybill://admin/operator/${name}`]) {
      assert.equal(
        taken(100, () => event(kind('A'))),
        5,
      );
      assert.equal(
        taken(100, (index) => event(kind(`B${index}`))),
        5,
      );
      assert.equal(
        taken(100, () => event(kind('C'))),
        0,
      );
    }
  });

  it('of what others refused of this site is of its own, shared by who refused, which no record says', () => {
    const own = 'waybill://site/CS1';
    const refusal = (siteCode: string) => ({
      ...event(own),
      refusedBy: `waybill://site/${siteCode}`,
    });
    assert.equal(
      taken(100, () => refusal('PS1')),
      5,
    );
    const word = room.wordOn(refusal('PS2'), 0);
    assert.deepEqual(word, {
      isTaken: true,
      event: { ...event(own), detail: 'd; 95 more were not recorded' },
    });
    assert.equal(
      taken(100, (index) => refusal(`S${index}`)),
      4,
      'of all who refuse',
    );
    assert.equal(
      taken(100, () => event('waybill://site/PS1')),
      5,
      'what PS1 is refused here',
    );
  });

  it('is not taken from one kind by another', () => {
    taken(100, (index) => event('unauthenticated', 'X', `10.0.0.${index}`));
    taken(100, (index) => event(dp(`D${index}`)));
    taken(100, (index) => event(dp(`D${index}`), 'ok'));
    assert.equal(
      taken(10, () => event('waybill://admin/operator/bob')),
      5,
    );
  });

  it('counts strangers by their address, and a whole network of IPv6 as one', () => {
    const stranger = (index: number) => event('unauthenticated', 'X', `2001:db8::${index}`);
    assert.equal(taken(100, stranger), 5);
    assert.equal(
      taken(1, () => event('unauthenticated', 'X', '2001:db8:0:1::1')),
      1,
    );
  });

  it('comes back with time, and says what was left out', () => {
    assert.equal(
      taken(100, () => event(dp('A'))),
      5,
    );
    const word = room.wordOn(event(dp('A')), dayMs);
    assert.equal(word.isTaken && word.event.detail, 'd; 95 more were not recorded');
    assert.equal(
      taken(100, () => event(dp('A')), dayMs),
      1,
    );
  });

  it('makes news of what it leaves out once a day', () => {
    const news: number[] = [];
    for (let hour = 0; hour < 49; hour++) {
      for (let count = 0; count < 10; count++) {
        const word = room.wordOn(event(dp('A')), (hour * dayMs) / 24);
        if (!word.isTaken && word.isNews) news.push(hour);
      }
    }
    assert.deepEqual(news, [0, 24, 48]);
  });
});
