# What Python reads in bodies that were taken for payments. Prints how many it reads otherwise.
import json
import sys
from decimal import Decimal

differ = 0
for line in sys.stdin:
    body, units, digits, currency, payee, account = json.loads(line)
    read = json.loads(body, parse_float=Decimal, parse_int=Decimal)
    amount = Decimal(read["amount"]["value"]).scaleb(digits)
    same = (amount, read["amount"]["currency"], read["creditor"]["name"], read["creditor"]["iban"]) == (units, currency, payee, account)
    differ += not same
print(differ)
