// As load_client.py, for node: load_node.mjs NAME URL REQUESTS CONNECTIONS SIZES.
import http from 'node:http';
import https from 'node:https';
import {randomBytes} from 'node:crypto';

const [name, base, requests, connections, names] = process.argv.slice(2);
const module = base.startsWith('https:') ? https : http;
const sizes = names.split(',');
const largest = 8 << 20;
const upload = Buffer.alloc(largest,
    'GET /x HTTP/1.1\r\nAuthorization: Bearer forged-by-an-upload\r\n\r\n');
let next = 0;

function exchange(agent) {
  const number = ++next;
  const headers = {Authorization: `Bearer ${randomBytes(24).toString('base64url')}`,
                   'X-Request-Id': `${name}.${process.pid}.${number}`};
  const size = Math.floor(Math.exp(Math.random() * Math.log(largest)));
  const [method, target, body] =
      number % 5 === 0 ? ['POST', `/v1/upload/${number}`, upload.subarray(0, size)] :
      number % 5 === 1 ? ['GET', `/bodies/${sizes[number % sizes.length]}`] :
      [['GET', 'HEAD', 'DELETE'][number % 3], `/v1/items/${number}`];
  return new Promise((resolve, reject) => {
    const request = module.request(base + target, {method, headers, agent}, (response) => {
      response.on('data', () => {}).on('end', resolve).on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

async function work(agent) {
  while (next < Number(requests)) await exchange(agent);
}

const agents = [new module.Agent({keepAlive: true}), new module.Agent()];
await Promise.all(Array.from({length: Number(connections)}, (_, index) => work(agents[index % 2])));
process.exit(0);
