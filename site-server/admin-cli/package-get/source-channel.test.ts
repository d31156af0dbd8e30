import assert from 'node:assert/strict';
import { contentBytesOf, withListener } from './source-channel.ts';

describe('what comes from a source', () => {
  it('is counted in content bytes', () => {
    const piece = { fileHash: Buffer.alloc(32), pieceIndex: 0, data: Buffer.alloc(1000) };
    const small = (length: number) => ({ fileHash: Buffer.alloc(32), data: Buffer.alloc(length) });
    const nothing = { notHere: null, piece: null, files: null };
    assert.equal(contentBytesOf({ ...nothing, body: 'piece', piece }), 1000);
    const files = { files: [small(3), small(0), small(39)] };
    assert.equal(contentBytesOf({ ...nothing, body: 'files', files }), 42);
    assert.equal(contentBytesOf({ ...nothing, body: 'notHere', notHere: {} }), 0);
  });

  it('is told to the listener, and comes out of the call as before', async () => {
    const responses = [1, 2, undefined];
    const call = { read: async () => responses.shift() };
    const heard: unknown[] = [];
    const told = withListener(call, (response) => heard.push(response));
    assert.equal(told, call, 'it is the same call');
    assert.deepEqual([await told.read(), await told.read(), await told.read()], [1, 2, undefined]);
    assert.deepEqual(heard, [1, 2, undefined]);
  });
});
