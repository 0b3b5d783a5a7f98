// What JavaScript reads in bodies that were taken for payments, numbers as floating point. Prints how many it reads otherwise.
import { createInterface } from "node:readline";

let differ = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const [body, units, digits, currency, payee, account] = JSON.parse(line);
  const read = JSON.parse(body);
  const amount = Math.round(Number(read.amount.value) * 10 ** digits);
  const same = amount === units && read.amount.currency === currency && read.creditor.name === payee && read.creditor.iban === account;
  differ += same ? 0 : 1;
}
console.log(differ);
