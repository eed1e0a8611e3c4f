"""The contract: names, forms and files that users rely on."""
