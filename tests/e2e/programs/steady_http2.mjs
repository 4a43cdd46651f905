// HTTP/2 requests until standard input ends: steady_http2.mjs NAME URL STREAMS MILLISECONDS,
// the CA in NODE_EXTRA_CA_CERTS. One connection lasts from beginning to end, another is renewed now and then;
// so many streams at a time on each, with so long a pause after an answer.
import http2 from 'node:http2';
import {randomBytes} from 'node:crypto';

const [name, base, streams, pause] = process.argv.slice(2);
let number = 0, over = false;
process.stdin.on('end', () => { over = true; }).resume();

function one(session) {
  const secret = randomBytes(24).toString('base64url');
  return new Promise((resolve, reject) => {
    session.request({':path': '/empty', authorization: `Bearer ${secret}`,
                     'x-request-id': `${name}.${process.pid}.${++number}`, 'user-agent': 'made-up/2'})
        .on('data', () => {}).on('end', resolve).on('error', reject);
  });
}

async function work(longest) {
  while (!over) {
    const session = http2.connect(base);
    session.on('error', (error) => { console.error(error); process.exit(1); });
    const last = number + longest;
    await Promise.all(Array.from({length: Number(streams)}, async () => {
      while (!over && number < last) {
        await one(session);
        await new Promise((resolve) => setTimeout(resolve, Number(pause)));
      }
    }));
    session.close();
  }
}

await Promise.all([work(Infinity), work(500)]);
