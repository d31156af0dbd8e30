import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { TLSSocket } from 'node:tls';
import { issueLeafWithKey, issueRoot } from '../certificates/certificate-issuing.ts';
import { CertifiedSockets, type CutConnection } from './certified-sockets.ts';
import type { PeerTrust } from './peer-trust.ts';

const names = ['PS1DP1', 'PS1DP2', 'nobody'] as const;
type Name = (typeof names)[number];

/** A connection with a certificate that the root issued. */
class FakeSocket extends EventEmitter {
  destroyed = false;
  readonly remoteAddress = '10.0.0.1';
  readonly #name: Name;
  readonly #raw: Buffer;

  constructor(name: Name, raw: Buffer) {
    super();
    this.#name = name;
    this.#raw = raw;
  }

  getPeerCertificate() {
    return { raw: this.#raw, fingerprint256: this.#name };
  }

  destroy() {
    if (this.destroyed) return;
    this.destroyed = true;
    this.emit('close');
  }
}

class FakeTrust implements PeerTrust {
  readonly revoked = new Set<string>();
  readonly listeners = new Set<() => void>();

  refusalOf: PeerTrust['refusalOf'] = ({ identity }) =>
    identity.kind === 'dp' && this.revoked.has(identity.dpId) ? 'it was revoked' : undefined;

  isVouchedHere() {
    return true;
  }

  onChange(listener: () => void) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  revoke(dpId: string) {
    this.revoked.add(dpId);
    for (const tell of [...this.listeners]) tell();
  }
}

const root = { pem: '', leaves: new Map<Name, Buffer>() };

before(async () => {
  const validity = { notBefore: new Date(0), notAfter: new Date('2100-01-01') };
  const issuer = await issueRoot({ name: 'Test CA', ...validity });
  root.pem = issuer.certificate;
  for (const name of names) {
    const uris = name === 'nobody' ? [] : [`waybill://dp/${name}`];
    const leaf = await issueLeafWithKey(issuer, { commonName: name, uris, ...validity });
    root.leaves.set(name, new X509Certificate(leaf.certificate).raw);
  }
});

function newSockets() {
  const trust = new FakeTrust();
  const cuts: CutConnection[] = [];
  const onCut = (cut: CutConnection) => cuts.push(cut);
  const credentials = { ca: Buffer.from(root.pem) };
  const sockets = new CertifiedSockets({ credentials, trust, onCut });
  const take = (name: Name) => {
    const socket = new FakeSocket(name, root.leaves.get(name) ?? assert.fail(name));
    sockets.take(socket as unknown as TLSSocket);
    return socket;
  };
  return { trust, cuts, sockets, take };
}

describe('connections and who is at their other end (SEC-3)', () => {
  it('are all cut at once when their peer is revoked, and no others', () => {
    const { trust, cuts, take } = newSockets();
    const [first, second, other] = [take('PS1DP1'), take('PS1DP1'), take('PS1DP2')];
    trust.revoke('PS1DP1');
    assert.deepEqual([first.destroyed, second.destroyed, other.destroyed], [true, true, false]);
    const seen = cuts.map(({ address, reason, isNew }) => ({ address, reason, isNew }));
    const cut = { address: '10.0.0.1', reason: 'it was revoked', isNew: false };
    assert.deepEqual(seen, [cut, cut]);
  });

  it('are closed as they are made when their peer is revoked already', () => {
    const { trust, cuts, sockets, take } = newSockets();
    trust.revoke('PS1DP1');
    assert.equal(take('PS1DP1').destroyed, true);
    assert.equal(cuts[0]?.isNew, true);
    assert.equal(sockets.peerOf('PS1DP1'), undefined);
  });

  it('say whose a certificate is as long as one of them is open', () => {
    const { sockets, take } = newSockets();
    const [first, second] = [take('PS1DP1'), take('PS1DP1')];
    first.destroy();
    assert.deepEqual(sockets.peerOf('PS1DP1')?.identity, { kind: 'dp', dpId: 'PS1DP1' });
    second.destroy();
    assert.equal(sockets.peerOf('PS1DP1'), undefined);
  });

  it('with a certificate of nobody make nobody of it', () => {
    const { sockets, take } = newSockets();
    assert.equal(take('nobody').destroyed, false);
    assert.equal(sockets.peerOf('nobody'), undefined);
  });

  it('listen for news only while there are any', () => {
    const { trust, take } = newSockets();
    assert.equal(trust.listeners.size, 0);
    const all = [take('PS1DP1'), take('PS1DP2')];
    assert.equal(trust.listeners.size, 1);
    for (const socket of all) socket.destroy();
    assert.equal(trust.listeners.size, 0);
  });
});
