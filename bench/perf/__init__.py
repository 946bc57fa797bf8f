"""How fast the suite is: one measurement a file, with `main(argv)`, beside the obvious alternative."""
