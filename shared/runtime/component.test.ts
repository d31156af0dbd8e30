import assert from 'node:assert/strict';
import { type Component, startInOrder, stopInReverse, stopThenClose } from './component.ts';

describe('startInOrder and stopInReverse', () => {
  it('start in order and stop in reverse', async () => {
    const events: string[] = [];
    const components = ['a', 'b', 'c'].map((name) => recorded(name, events));
    await startInOrder(components);
    await stopInReverse(components);
    assert.deepEqual(events, ['+a', '+b', '+c', '-c', '-b', '-a']);
  });

  it('stop what was started when one fails to start, and throw that failure', async () => {
    const events: string[] = [];
    const failing = recorded('b', events, { start: new Error('no'), stop: new Error('neither') });
    const components = [recorded('a', events), failing, recorded('c', events)];
    await assert.rejects(startInOrder(components), /^Error: no$/);
    assert.deepEqual(events, ['+a', '+b', '-b', '-a']);
  });

  it('stop every component, also behind one that fails to stop', async () => {
    const events: string[] = [];
    const failure = new Error('no');
    const components = [recorded('a', events), recorded('b', events, { stop: failure })];
    await assert.rejects(stopInReverse(components), { errors: [failure] });
    assert.deepEqual(events, ['-b', '-a']);
  });

  it('close the store when all is stopped, also when one fails to stop', async () => {
    for (const failures of [{}, { stop: new Error('no') }]) {
      const events: string[] = [];
      const components = [recorded('a', events), recorded('b', events, failures)];
      const store = { close: async () => void events.push('closed') };
      const stopping = stopThenClose(components, store);
      if (failures.stop) await assert.rejects(stopping, { errors: [failures.stop] });
      else await stopping;
      assert.deepEqual(events, ['-b', '-a', 'closed']);
    }
  });
});

function recorded(
  name: string,
  events: string[],
  failures: { start?: Error; stop?: Error } = {},
): Component {
  const act = async (sign: string, failure: Error | undefined) => {
    events.push(sign + name);
    if (failure) throw failure;
  };
  return { start: () => act('+', failures.start), stop: () => act('-', failures.stop) };
}
