import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { WaybillError } from '../domain/errors.ts';
import type { Component } from '../runtime/component.ts';
import type { Logger } from '../runtime/logger.ts';

/** What the listener needs. */
export interface MetricsListenerNeeds {
  /** What is answered. */
  readonly page: () => Promise<string>;
  /** Its media type. */
  readonly contentType: string;
  readonly logger: Logger;
}

/** How it is tuned. */
export interface MetricsListenerConfig {
  /** host:port to listen on; port 0 takes a free one. */
  readonly address: string;
  /** Connections at once; further ones are closed. @default 16 */
  readonly connectionsMax: number;
  /** From the connection to the end of its request, whose headers are all it has. @default 5_000 */
  readonly requestMsMax: number;
  /** From the connection to the last byte of the answer. @default 30_000 */
  readonly connectionMsMax: number;
  /** @default 8_192 */
  readonly headerBytesMax: number;
}

export const defaultMetricsListenerConfig: Omit<MetricsListenerConfig, 'address'> = {
  connectionsMax: 16,
  requestMsMax: 5_000,
  connectionMsMax: 30_000,
  headerBytesMax: 8_192,
};

/** How often Node looks for requests that take too long. */
const lookMs = 1_000;

/**
 * The metrics port of an agent: `GET /metrics` by plain HTTP, one request for each connection, and nothing else.
 * Who asks is not known, so everything on it is small. Stores nothing; a crash leaves nothing.
 */
export class MetricsListener implements Component {
  readonly #needs: MetricsListenerNeeds;
  readonly #config: MetricsListenerConfig;
  readonly #server: Server;

  constructor(
    needs: MetricsListenerNeeds,
    config: Pick<MetricsListenerConfig, 'address'> & Partial<MetricsListenerConfig>,
  ) {
    this.#needs = needs;
    this.#config = { ...defaultMetricsListenerConfig, ...config };
    const { requestMsMax, headerBytesMax, connectionsMax } = this.#config;
    const times = { headersTimeout: requestMsMax, requestTimeout: requestMsMax };
    this.#server = createServer(
      { ...times, connectionsCheckingInterval: lookMs, maxHeaderSize: headerBytesMax },
      (request, response) => void this.#answer(request, response),
    );
    this.#server.maxConnections = connectionsMax;
    this.#server.on('connection', (socket) => this.#bound(socket));
  }

  /** host:port it listens on, with the port that was free. Only after `start`. */
  get address(): string {
    const { port } = this.#server.address() as AddressInfo;
    return this.#config.address.replace(/:\d+$/, `:${port}`);
  }

  /** Listens. @throws ADDRESS_IN_USE, ADDRESS_NOT_USABLE */
  async start(): Promise<void> {
    const { address } = this.#config;
    const colon = address.lastIndexOf(':');
    const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) => reject(toListenError(error, address)));
      this.#server.listen({ host, port: Number(address.slice(colon + 1)) }, resolve);
    });
    this.#needs.logger.info({ metricsAddress: this.address }, 'Metrics can be read');
  }

  /** Cuts off whoever is just asking: he asks again. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  /** Whatever somebody does with it, it is over after a while. */
  #bound(socket: Socket): void {
    const timer = setTimeout(() => socket.destroy(), this.#config.connectionMsMax);
    socket.once('close', () => clearTimeout(timer));
  }

  /** Never rejects. */
  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A scraper comes every quarter of a minute: a connection that is kept would only hold a place.
    response.shouldKeepAlive = false;
    const [path] = (request.url ?? '').split('?');
    if (path !== '/metrics') return say(response, 404, 'Metrics are at /metrics');
    if (request.method !== 'GET') {
      response.setHeader('Allow', 'GET');
      return say(response, 405, 'Metrics are read with GET');
    }
    try {
      const text = await this.#needs.page();
      response.setHeader('Cache-Control', 'no-store');
      say(response, 200, text, this.#needs.contentType);
    } catch (err) {
      this.#needs.logger.warn({ err }, 'Metrics could not be read');
      say(response, 500, 'Metrics could not be read; the log of the agent says why');
    }
  }
}

function say(response: ServerResponse, status: number, text: string, type = 'text/plain'): void {
  response.writeHead(status, { 'Content-Type': type });
  response.end(status === 200 ? text : `${text}\n`);
}

const reasons: Readonly<Record<string, string>> = {
  EADDRNOTAVAIL: 'this machine has no such address',
  EACCES: 'the user it runs as may not listen on that port',
  ENOTFOUND: 'nobody knows a host of that name',
};

function toListenError(error: NodeJS.ErrnoException, address: string): Error {
  const { code = '', message } = error;
  const cause = { cause: error };
  if (code === 'EADDRINUSE') return new WaybillError({ code: 'ADDRESS_IN_USE', address }, cause);
  const reason = reasons[code] ?? message;
  return new WaybillError({ code: 'ADDRESS_NOT_USABLE', address, reason }, cause);
}
