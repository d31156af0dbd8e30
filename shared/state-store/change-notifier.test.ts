import assert from 'node:assert/strict';
import { WakeSignal } from '../runtime/wake-signal.ts';
import { CapturedLog } from '../testing/captured-log.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { ChangeNotifier, type Notification, type NotificationTopic } from './change-notifier.ts';
import { keySpaces } from './key-space.ts';
import { StateStore } from './state-store.ts';

const logger = new CapturedLog().logger;

describe('ChangeNotifier (DM-1)', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  let notifier: ChangeNotifier;
  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    await open();
  });
  afterEach(async () => {
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  it('delivers what is pending again after a restart, until it is handled', async () => {
    await write(notifier.notification('package', 'PS100001'));
    for (let restarts = 0; restarts < 2; restarts++) {
      await reopen();
      assert.deepEqual(await subjects('package'), ['PS100001']);
    }
    await write(...(await pending('package')).map((one) => notifier.handled(one)));
    await reopen();
    assert.deepEqual(await subjects('package'), []);
  });

  it('writes a change and its notification both or neither', async () => {
    const unstorable = { ...store.records(keySpaces.counters).put('x', 1), value: undefined };
    await assert.rejects(write(notifier.notification('package', 'PS100001'), unstorable));
    assert.deepEqual(await subjects('package'), []);
  });

  it('lets a notification be handled twice', async () => {
    await write(notifier.notification('package', 'PS100001'));
    const [one] = await pending('package');
    assert(one);
    await write(notifier.handled(one));
    await write(notifier.handled(one));
    assert.deepEqual(await subjects('package'), []);
  });

  it('keeps one that is written while its predecessor is handled, also over a restart', async () => {
    await write(notifier.notification('package', 'PS100001'));
    const [first] = await pending('package');
    assert(first);
    // The restart matters: a new process must not use the key of the old one's notification.
    await reopen();
    await write(notifier.notification('package', 'PS100001'));
    await write(notifier.handled(first));
    assert.deepEqual(await subjects('package'), ['PS100001']);
  });

  it('knows what was written and handled while the table was read for the first time', async () => {
    await write(notifier.notification('package', 'PS100001'));
    const rows: [string, Record<string, never>][] = [];
    const records = store.records(keySpaces.packageNotifications);
    for await (const row of records.list()) rows.push(row);
    let goOn = () => {};
    const isHandled = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    // A page that was read, and is handed on after what happens next.
    const slow = {
      onWritten: (listener: Parameters<StateStore['onWritten']>[0]) => store.onWritten(listener),
      settled: () => store.settled(),
      records: () => ({
        ...{ put: records.put.bind(records), delete: records.delete.bind(records) },
        async *list() {
          await isHandled;
          yield* rows;
        },
      }),
    } as unknown as StateStore;
    notifier = new ChangeNotifier({ store: slow });
    const looking = subjects('package');
    await store.write([records.delete(rows[0]?.[0] ?? '')], { sync: false });
    await write(notifier.notification('package', 'PS100002'));
    goOn();
    assert.deepEqual(await looking, ['PS100002']);
  });

  it('knows of all that can be read, at once', async () => {
    await pending('package');
    const row = store.records(keySpaces.counters);
    for (let value = 1; value <= 200; value++) {
      const written = write(row.put('x', value), notifier.notification('package', `${value}`));
      while ((await row.get('x')) !== value);
      assert.equal((await pending('package')).length, value);
      await written;
    }
  });

  it('keeps topics apart', async () => {
    await write(
      notifier.notification('package', 'PS100002'),
      notifier.notification('package', 'PS100001'),
      notifier.notification('distribution-job', '0000000000000007'),
    );
    assert.deepEqual(await subjects('package'), ['PS100001', 'PS100002']);
    assert.deepEqual(await subjects('distribution-job'), ['0000000000000007']);
    assert.deepEqual(await subjects('transfer-result'), []);
  });

  it('wakes its subscribers soon after they subscribe', async () => {
    const woken = new WakeSignal();
    notifier.subscribe('package', () => woken.wake());
    await woken.wait();
  });

  it('wakes the subscribers of a topic with every write that notifies, and no others', async () => {
    const calls: string[] = [];
    const woken = new WakeSignal();
    for (const topic of ['package', 'transfer-result'] as const) {
      notifier.subscribe(topic, () => {
        calls.push(topic);
        woken.wake();
      });
    }
    while (calls.length < 2) await woken.wait();
    calls.length = 0;

    await write(notifier.notification('package', 'PS100001'));
    assert.deepEqual(calls, ['package']);
    const [one] = await pending('package');
    assert(one);
    await write(notifier.handled(one), store.records(keySpaces.counters).put('package/x', 1));
    assert.deepEqual(calls, ['package']);
  });

  it('wakes nobody who has ended the subscription', async () => {
    let calls = 0;
    const woken = new WakeSignal();
    notifier.subscribe('package', () => calls++)();
    const end = notifier.subscribe('package', () => calls++);
    notifier.subscribe('package', () => woken.wake());
    end();
    await woken.wait();
    await write(notifier.notification('package', 'PS100001'));
    assert.equal(calls, 0);
  });

  async function open(): Promise<void> {
    ({ store } = await StateStore.open({ directory: directory.join('state'), logger }));
    notifier = new ChangeNotifier({ store });
  }

  async function reopen(): Promise<void> {
    await store.close();
    await open();
  }

  async function write(...changes: Parameters<StateStore['write']>[0]): Promise<void> {
    await store.write(changes, { sync: false });
  }

  async function pending(topic: NotificationTopic): Promise<Notification[]> {
    const found: Notification[] = [];
    for await (const one of notifier.pending(topic)) found.push(one);
    return found;
  }

  async function subjects(topic: NotificationTopic): Promise<string[]> {
    return (await pending(topic)).map(({ subject }) => subject);
  }
});
