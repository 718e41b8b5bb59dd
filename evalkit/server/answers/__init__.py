"""What is answered: plain answers, the steps they are made of, and the signed Interaction around them. Pure but for the clock."""
