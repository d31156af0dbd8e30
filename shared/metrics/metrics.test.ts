import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { WaybillError } from '../domain/errors.ts';
import { CapturedLog } from '../testing/captured-log.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { type MetricReader, reading } from './metric-register.ts';
import { Metrics } from './metrics.ts';
import { MetricsListener } from './metrics-listener.ts';

const loopback = '127.0.0.1:0';

/** Resolves when the other side has hung up, however rudely. */
function closed(socket: Socket): Promise<void> {
  socket.on('error', () => {});
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

describe('metrics of an agent (ADM-7)', () => {
  let log: CapturedLog;
  let clock: FakeClock;
  let metrics: Metrics | undefined;

  async function started(...readers: MetricReader[]): Promise<string> {
    metrics = new Metrics({ kind: 'dp', readers, clock, logger: log.logger }, { listen: loopback });
    await metrics.start();
    return `http://${metrics.address}/metrics`;
  }

  async function pageAt(url: string): Promise<string> {
    return (await fetch(url)).text();
  }

  beforeEach(() => {
    log = new CapturedLog();
    clock = new FakeClock();
    metrics = undefined;
  });

  afterEach(() => metrics?.stop());

  it('are what the components say at this moment, beside those of the process', async () => {
    let fetching = 7;
    const url = await started(
      () => [reading('waybill_content_free_bytes', {}, 2 ** 40)],
      async () => [
        reading('waybill_pull_jobs', { state: 'fetching' }, fetching),
        reading('waybill_content_bytes_total', { way: 'pull', direction: 'received' }, 5),
      ],
    );
    const response = await fetch(url);
    assert.equal(response.status, 200);
    assert.match(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
    assert.equal(response.headers.get('connection'), 'close');
    const text = await response.text();
    assert.match(text, /^waybill_content_free_bytes 1099511627776$/m);
    assert.match(text, /^waybill_content_bytes_total\{way="pull",direction="received"\} 5$/m);
    assert.match(text, /^# TYPE waybill_content_bytes_total counter$/m);
    assert.match(text, /^process_start_time_seconds \d+$/m);
    assert.match(text, /^process_resident_memory_bytes \d+$/m);
    assert.match(text, /^nodejs_eventloop_lag_seconds [\d.e-]+$/m);
    fetching = 0;
    await clock.advance(1_000);
    assert.match(await pageAt(url), /^waybill_pull_jobs\{state="fetching"\} 0$/m);
  });

  it('forget what is not said any more', async () => {
    let states = ['fetching', 'waiting'];
    const url = await started(() =>
      states.map((state) => reading('waybill_pull_jobs', { state }, 1)),
    );
    assert.match(await pageAt(url), /state="waiting"/);
    states = ['fetching'];
    await clock.advance(1_000);
    assert.doesNotMatch(await pageAt(url), /state="waiting"/);
  });

  it('are read by one for all who ask at once, and once a second', async () => {
    let readCount = 0;
    const url = await started(() => {
      readCount += 1;
      return [];
    });
    await Promise.all(Array.from({ length: 8 }, () => pageAt(url)));
    await pageAt(url);
    assert.equal(readCount, 1);
    await clock.advance(1_000);
    await pageAt(url);
    assert.equal(readCount, 2);
  });

  it('say no reason to whoever asks when they cannot be read, and can be read again later', async () => {
    let isBroken = true;
    const url = await started(() => {
      if (isBroken) throw new Error('the disk of /secret/place is broken');
      return [];
    });
    const response = await fetch(url);
    assert.equal(response.status, 500);
    const said = 'Metrics could not be read; the log of the agent says why\n';
    assert.equal(await response.text(), said);
    assert.deepEqual(log.messages(40), ['Metrics could not be read']);
    isBroken = false;
    assert.equal((await fetch(url)).status, 200);
  });

  it('are read with GET at /metrics, and nothing else is done there', async () => {
    const url = await started(() => []);
    const refused = await fetch(url, { method: 'POST', body: 'x' });
    assert.deepEqual([refused.status, refused.headers.get('allow')], [405, 'GET']);
    assert.equal((await fetch(url, { method: 'HEAD' })).status, 405);
    assert.equal((await fetch(url.replace('/metrics', '/'))).status, 404);
    assert.equal((await fetch(url.replace('/metrics', '/metrics/x'))).status, 404);
    assert.equal((await fetch(`${url}?name=up`)).status, 200);
  });

  it('have a port that says when it is taken, or cannot be', async () => {
    await started(() => []);
    const address = metrics?.address ?? '';
    for (const [listen, code] of [
      [address, 'ADDRESS_IN_USE'],
      // Of no machine: for documentation.
      ['192.0.2.1:9464', 'ADDRESS_NOT_USABLE'],
    ] as const) {
      const other = new Metrics({ kind: 'dp', readers: [], clock, logger: log.logger }, { listen });
      await assert.rejects(
        other.start(),
        (error) =>
          error instanceof WaybillError && error.code === code && error.message.includes(listen),
      );
      await other.stop();
    }
  });

  it('are not asked of components that have stopped', async () => {
    let hasBegun = () => {};
    const begun = new Promise<void>((resolve) => {
      hasBegun = resolve;
    });
    let end = () => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    let isOver = false;
    const url = await started(async () => {
      hasBegun();
      await ended;
      isOver = true;
      return [];
    });
    const asked = fetch(url).catch(() => 'cut off');
    await begun;
    const stopped = metrics?.stop();
    assert.equal(await asked, 'cut off');
    end();
    await stopped;
    assert.ok(isOver);
    await metrics?.stop();
  });

  it('come on an address of IPv6, too', async function () {
    metrics = new Metrics(
      { kind: 'dp', readers: [], clock, logger: log.logger },
      { listen: '[::1]:0' },
    );
    try {
      await metrics.start();
    } catch {
      // A machine without IPv6.
      metrics = undefined;
      this.skip();
    }
    assert.match(metrics?.address ?? '', /^\[::1\]:\d+$/);
    assert.equal((await fetch(`http://${metrics?.address}/metrics`)).status, 200);
  });
});

describe('the metrics port', () => {
  const { logger } = new CapturedLog();
  let listener: MetricsListener;

  async function listening(limits: Partial<ConstructorParameters<typeof MetricsListener>[1]>) {
    const needs = { page: async () => 'page', contentType: 'text/plain', logger };
    listener = new MetricsListener(needs, { address: loopback, ...limits });
    await listener.start();
    const [host = '', port] = listener.address.split(':');
    return { host, port: Number(port) };
  }

  afterEach(() => listener.stop());

  it('closes connections that are too many', async () => {
    const place = await listening({ connectionsMax: 1 });
    const first = connect(place);
    await once(first, 'connect');
    await closed(connect(place));
    first.write('GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n');
    const [answer] = await once(first, 'data');
    assert.match(String(answer), /^HTTP\/1\.1 200/);
    first.destroy();
  });

  it('ends a connection that lasts too long, whatever is done with it', async () => {
    const place = await listening({ connectionMsMax: 1 });
    const socket = connect(place);
    socket.write('GET /met');
    await closed(socket);
  });

  it('takes no longer headers than a scraper has', async () => {
    const place = await listening({ headerBytesMax: 1_024 });
    const headers = { 'x-long': 'x'.repeat(4_096) };
    const asked = request({ ...place, path: '/metrics', headers }).on('error', () => {});
    asked.end();
    const [response] = await once(asked, 'response');
    assert.equal(response.statusCode, 431);
    response.resume();
  });
});
