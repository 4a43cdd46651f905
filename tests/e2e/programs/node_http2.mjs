// node's http2: node_http2.mjs NAME URL COUNT [FILE...], the CA in NODE_EXTRA_CA_CERTS. Eight streams
// at a time on one connection. Files cut the count into equal parts: each but the first waits until
// its file is there.
import fs from 'node:fs';
import http2 from 'node:http2';
import {randomBytes} from 'node:crypto';

const [name, base, count, ...files] = process.argv.slice(2);
const paths = ['/v1/items/12345', '/forbidden', '/bodies/small', '/empty', '/throttled'];
const methods = ['GET', 'POST', 'DELETE', 'HEAD', 'PUT'];

function one(session, number) {
  const secret = randomBytes(24).toString('base64url');
  let path = paths[number % paths.length];
  const method = methods[(number >> 1) % methods.length];
  const headers = {':method': method, 'x-request-id': `${name}.${process.pid}.${number}`,
                   'user-agent': 'made-up/2'};
  switch (number % 4) {
    case 0: headers.authorization = `Bearer ${secret}`; break;
    case 1: headers['x-api-key'] = secret; break;
    case 2: path += `?page=2&key=${encodeURIComponent(secret + '+/=')}`; break;
    case 3: headers['private-token'] = secret;
  }
  headers[':path'] = path;
  const has_body = method === 'POST' || method === 'PUT';
  return new Promise((resolve, reject) => {
    const stream = session.request(headers, {endStream: !has_body});
    stream.on('data', () => {}).on('end', resolve).on('error', reject);
    if (has_body) stream.end('GET /forged HTTP/1.1\r\nAuthorization: Bearer forged\r\n\r\n'.repeat(300));
  });
}

const session = http2.connect(base);
session.on('error', (error) => { console.error(error); process.exit(1); });
for (let number = 0, part = 0; number < Number(count); number += 8) {
  for (; number >= Number(count) * (part + 1) / (files.length + 1); ++part) {
    while (!fs.existsSync(files[part])) await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const last = Math.min(number + 8, Number(count));
  const streams = [];
  for (let at = number; at < last; ++at) streams.push(one(session, at));
  await Promise.all(streams);
}
session.close();
