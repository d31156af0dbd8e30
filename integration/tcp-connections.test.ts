import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { abandonedConnectionsOf } from './tcp-connections.ts';

/** Those of this process at a port: other tests run in it too. */
function abandonedAt(port: number): string[] {
  const digits = `:${port.toString(16).toUpperCase().padStart(4, '0')} `;
  return abandonedConnectionsOf(process.pid).filter((connection) => connection.includes(digits));
}

describe('connections whose other end is gone', () => {
  it('count for who holds them open, and no others do', async () => {
    const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const client = connect({ port, host: '127.0.0.1' });
    const [accepted] = (await once(server, 'connection')) as [Socket];
    await once(client, 'connect');
    assert.equal(abandonedAt(port).length, 0);

    client.destroy();
    await once(client, 'close');
    assert.equal(abandonedAt(port).length, 1);

    accepted.destroy();
    await once(accepted, 'close');
    assert.equal(abandonedAt(port).length, 0);
    server.close();
  });
});
