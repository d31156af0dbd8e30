import assert from 'node:assert/strict';
import { AddressGate } from './address-gate.ts';

const limits = {
  unprovenPerAddressMax: 3,
  unprovenMax: 5,
  connections: { perSecond: 100, burst: 150 },
  failedConnections: { perSecond: 1, burst: 4 },
};

/** A gate, and connections that leave when they are told to, as sockets do. */
function newGate() {
  const gate = new AddressGate(limits);
  const evicted: string[] = [];
  const connect = (name: string, address: string, nowMs = 0) => {
    const connection = {
      giveWay: () => {
        evicted.push(name);
        gate.left(address, connection, nowMs);
      },
    };
    const refusal = gate.enter(address, connection, nowMs);
    return {
      refusal,
      prove: () => gate.proven(address, connection),
      leave: (atMs = nowMs) => gate.left(address, connection, atMs),
    };
  };
  return { gate, evicted, connect };
}

describe('connections by address (SEC-4)', () => {
  it('that have proven nothing: the oldest of an address gives way to a new one', () => {
    const { evicted, connect } = newGate();
    connect('proven', '10.0.0.1').prove();
    for (const name of ['a', 'b', 'c', 'd']) connect(name, '10.0.0.1');
    assert.deepEqual(evicted, ['a']);
  });

  it('that have proven nothing, of many addresses: the oldest of all gives way', () => {
    const { evicted, connect } = newGate();
    for (let index = 1; index <= 7; index++) connect(`${index}`, `10.0.0.${index}`);
    assert.deepEqual(evicted, ['1', '2']);
  });

  it('that end unproven too often: the address waits, others do not, and it is let in again', () => {
    const { connect } = newGate();
    for (let count = 0; count < 4; count++) connect('x', '10.0.0.1').leave();
    assert.match(connect('y', '10.0.0.1').refusal ?? '', /failed connections/);
    assert.equal(connect('z', '10.0.0.2').refusal, undefined);
    assert.equal(connect('y', '10.0.0.1', 1_000).refusal, undefined);
  });

  it('that are refused for who they are: count as those that end unproven', () => {
    const { gate, connect } = newGate();
    for (let count = 0; count < 4; count++) {
      const one = connect('x', '10.0.0.1');
      one.prove();
      gate.refused('10.0.0.1', 0);
      one.leave();
    }
    assert.match(connect('y', '10.0.0.1').refusal ?? '', /failed connections/);
  });

  it('that ended proven: count for nothing', () => {
    const { connect } = newGate();
    for (let count = 0; count < 100; count++) {
      const one = connect('x', '10.0.0.1');
      assert.equal(one.refusal, undefined);
      one.prove();
      one.leave();
    }
  });

  it('that come too fast, proven or not: refused until there is time for them', () => {
    const { connect } = newGate();
    const knock = (atMs: number) => {
      const one = connect('x', '10.0.0.1', atMs);
      if (one.refusal !== undefined) return one.refusal;
      one.prove();
      one.leave();
      return 'let in';
    };
    const first = Array.from({ length: 200 }, () => knock(0));
    assert.equal(first.filter((answer) => answer === 'let in').length, 150);
    assert.match(first.at(-1) ?? '', /100 new connections/);
    assert.equal(knock(20), 'let in');
  });

  it('that have proven who they are: as many of an address as come', () => {
    const { connect } = newGate();
    for (let count = 0; count < 150; count++) {
      const one = connect('x', '10.0.0.1');
      assert.equal(one.refusal, undefined);
      one.prove();
    }
  });

  it('of IPv6: a network of 64 bits is one address, and an IPv4 address in IPv6 is itself', () => {
    const { gate, connect } = newGate();
    for (const address of ['2001:db8::1', '2001:db8:0:0:7:7:7:7', '2001:0db8:0::2']) {
      connect('x', address);
    }
    assert.equal(gate.size, 1);
    for (const address of ['10.0.0.1', '::ffff:10.0.0.1']) connect('x', address);
    assert.equal(gate.size, 2);
    connect('x', '::1');
    connect('x', 'fe80::1%eth0');
    assert.equal(gate.size, 4);
  });

  it('are forgotten when there is nothing to remember', () => {
    const { gate, connect } = newGate();
    const one = connect('x', '10.0.0.1');
    one.leave(0);
    gate.forget(500);
    assert.equal(gate.size, 1);
    gate.forget(1_000);
    assert.equal(gate.size, 0);
  });
});
